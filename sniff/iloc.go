package sniff

// place is where the data of an item begins.
type place struct {
	offset, length int // length 0 = to the end
	inMeta         bool
}

// itemPlace finds the first extent of an item in an iloc box. ok is false if the item has none in this file.
func itemPlace(b []byte, item int) (p place, ok bool) {
	if len(b) < 8 || b[0] > 2 {
		return place{}, false
	}
	r := fieldReader{b: b, at: 6}
	offset, length, base := int(b[4]>>4), int(b[4]&15), int(b[5]>>4)
	idSize, methodSize, index := ilocSizes(b[0], int(b[5]&15))
	for count := r.field(idSize); count > 0 && !r.short; count-- {
		id, method := r.field(idSize), r.field(methodSize)&15
		elsewhere := r.field(2) != 0 || method > 1
		start := r.field(base)
		extents := r.field(2)
		if id != item {
			r.at += extents * (index + offset + length) // not one by one: empty extents are not limited by the file size
			continue
		}
		if elsewhere || extents == 0 {
			return place{}, false
		}
		r.field(index)
		p = place{start + r.field(offset), r.field(length), method == 1}
		return p, !r.short && p.offset >= 0
	}
	return place{}, false
}

// ilocSizes are the sizes of the fields that differ from version to version.
func ilocSizes(version byte, index int) (idSize, methodSize, indexSize int) {
	switch version {
	case 0:
		return 2, 0, 0
	case 1:
		return 2, 2, index
	}
	return 4, 2, index
}

// idSize is the size of the ids of items in a pitm, iref or ipma box, by its version.
func idSize(box []byte) int {
	if len(box) > 0 && box[0] > 0 {
		return 4
	}
	return 2
}

// itemAt is the id of an item at an offset; 0 past the end of b.
func itemAt(b []byte, at, size int) int {
	r := fieldReader{b: b, at: at}
	return r.field(size)
}

// fieldReader reads numbers of 0 to 8 bytes. A number that is truncated, or too large for any file, sets short.
type fieldReader struct {
	b     []byte
	at    int
	short bool
}

func (r *fieldReader) field(size int) (v int) {
	if r.short || size > 8 || r.at > len(r.b)-size {
		r.short = true
		return 0
	}
	for _, c := range r.b[r.at : r.at+size] {
		if v > 1<<48 {
			r.short = true
			return 0
		}
		v = v<<8 | int(c)
	}
	r.at += size
	return v
}

// in returns the bytes at the place, as far as they exist.
func (p place) in(file, meta []byte) []byte {
	b := file
	if p.inMeta {
		b = meta
	}
	if p.offset > len(b) {
		return nil
	}
	b = b[p.offset:]
	if p.length > 0 && p.length < len(b) {
		b = b[:p.length]
	}
	return b
}
