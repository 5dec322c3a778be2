package sniff

import "encoding/binary"

// The TIFF tags that matter here.
const (
	tagWidth        = 256
	tagHeight       = 257
	tagBits         = 258
	tagPhotometric  = 262
	tagStripOffsets = 273
	tagSamples      = 277
	tagStripBytes   = 279
	tagTileOffsets  = 324
	tagTileBytes    = 325
	tagExtraSamples = 338
	tagProfile      = 34675
)

// maxStrips bounds the check of a file that contains little but a list of strips.
const maxStrips = 1 << 20

// tiffFile is a TIFF of either byte order. Offsets are checked at each read.
type tiffFile struct {
	b     []byte
	order binary.ByteOrder
}

// inspectTIFF reads the first directory, checks that its strips or tiles are within the file, and counts the
// directories.
func inspectTIFF(b []byte) (Info, error) {
	t := tiffFile{b: b, order: byteOrder(b)}
	first, ok := t.long(4)
	if !ok {
		return Info{}, broken("it ends before its first directory")
	}
	in, err := t.directory(first)
	if err != nil {
		return Info{}, err
	}
	in.End = len(b)
	seen := map[int64]bool{}
	for at := first; at != 0 && !seen[at] && in.Frames < maxFrames; in.Frames++ {
		seen[at] = true // Directories may form a cycle.
		count, ok := t.short(at)
		if !ok {
			in.Complete = false
			break
		}
		if at, ok = t.long(at + 2 + 12*count); !ok {
			break // Old writers omit the last link.
		}
	}
	return in, nil
}

func (t tiffFile) directory(at int64) (Info, error) {
	count, ok := t.short(at)
	if !ok {
		return Info{}, broken("its first directory lies outside of the file")
	}
	in := Info{Channels: 1, Bits: 1}
	tags := map[int]int64{} // tag -> offset of its entry
	for i := range count {
		entry := at + 2 + 12*i
		if entry+12 > int64(len(t.b)) {
			return Info{}, broken("its first directory is cut")
		}
		tag, _ := t.short(entry)
		tags[int(tag)] = entry
	}
	in.Width, in.Height = int(t.value(tags, tagWidth, 0, 0)), int(t.value(tags, tagHeight, 0, 0))
	in.Bits = int(t.value(tags, tagBits, 0, 1))
	in.Channels = int(t.value(tags, tagSamples, 0, 1))
	in.Orientation = int(t.value(tags, tagOrientation, 0, 1))
	_, in.Profile = tags[tagProfile]
	_, in.Alpha = tags[tagExtraSamples]
	switch t.value(tags, tagPhotometric, 0, 1) {
	case 3:
		in.Channels = max(in.Channels, 3) // A palette.
	case 5:
		in.CMYK = true
	}
	if in.Bits < 1 || in.Bits > 64 || in.Channels < 1 || in.Channels > 64 {
		return Info{}, broken("its samples are impossible")
	}
	in.Complete = t.within(tags, tagStripOffsets, tagStripBytes) || t.within(tags, tagTileOffsets, tagTileBytes)
	return in, nil
}

// within reports whether all pieces that a pair of tags names are inside the file.
func (t tiffFile) within(tags map[int]int64, offsets, lengths int) bool {
	entry, ok := tags[offsets]
	if !ok {
		return false
	}
	count, _ := t.long(entry + 4)
	if count == 0 || count > maxStrips {
		return false
	}
	for i := range count {
		offset, length := t.value(tags, offsets, i, -1), t.value(tags, lengths, i, -1)
		if offset < 0 || length < 0 || offset+length > int64(len(t.b)) {
			return false
		}
	}
	return true
}

// value is element i of a tag's numbers; absent if the tag is missing, not a whole number, or outside the file.
func (t tiffFile) value(tags map[int]int64, tag int, i, absent int64) int64 {
	entry, ok := tags[tag]
	if !ok {
		return absent
	}
	kind, _ := t.short(entry + 2)
	count, _ := t.long(entry + 4)
	size := map[int64]int64{1: 1, 3: 2, 4: 4}[kind]
	if size == 0 || i >= count {
		return absent
	}
	at := entry + 8
	if count*size > 4 {
		at, _ = t.long(entry + 8)
	}
	at += i * size
	var v int64
	switch size {
	case 1:
		if ok = at < int64(len(t.b)); ok {
			v = int64(t.b[at])
		}
	case 2:
		v, ok = t.short(at)
	case 4:
		v, ok = t.long(at)
	}
	if !ok {
		return absent
	}
	return v
}

func (t tiffFile) short(at int64) (int64, bool) {
	if at < 0 || at > int64(len(t.b))-2 {
		return 0, false
	}
	return int64(t.order.Uint16(t.b[at:])), true
}

func (t tiffFile) long(at int64) (int64, bool) {
	if at < 0 || at > int64(len(t.b))-4 {
		return 0, false
	}
	return int64(t.order.Uint32(t.b[at:])), true
}
