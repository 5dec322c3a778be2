package sniff

import (
	"math"
	"slices"
	"strings"
)

// maxProperties is the largest ipma index, of 15 bits.
const maxProperties = 1<<15 - 1

// heifWalk collects the contents of the boxes of an AVIF or HEIC file.
type heifWalk struct {
	info       Info
	primary    int // the primary item's id, 0 = not named
	properties []heifProperty
	multiplied []int // ids of items whose colours are premultiplied
	linked     []int // 1-based indexes of the primary item's properties
	meta, data bool

	av1        bool
	config     []byte // the OBUs in the primary item's av1C
	iref, iloc []byte // boxes
	idat       []byte
}

// heifProperty is one child of ipco, with the fields that are needed.
type heifProperty struct {
	width, height int // of an ispe, else 0
	bits          int // of a pixi, else 0
	turned        bool

	primaries, transfer int // of a colr with code points, else 0

	config []byte // the OBUs of an av1C
}

// inspectHEIF walks the boxes of an ISO base media file. The size is that of the primary item, else the largest that
// any item declares. libheif applies rotation and mirroring itself, so a rotated picture is reported with its sides
// swapped and orientation 1.
func inspectHEIF(b []byte) (Info, error) {
	w := heifWalk{info: Info{Channels: 3, Bits: 8, Orientation: 1, Frames: 1}}
	cut := "" // the box that the file ends in
	end, whole := boxes(b, func(name string, body []byte) {
		cut = name
		switch name {
		case "meta":
			if !w.meta && len(body) >= 4 {
				w.meta = true
				boxes(body[4:], w.metaBox)
			}
		case "mdat":
			w.data = true
		}
	})
	if !w.meta {
		return Info{}, broken("it has no picture description")
	}
	w.choose()
	w.colourAsCoded(b)
	if w.info.Width == 0 || w.info.Height == 0 {
		return Info{}, broken("it names no size")
	}
	if w.info.Alpha {
		w.info.Channels = 4
	}
	// If any other box is truncated, the picture is still complete: a motion photo's video, or bytes that look like a
	// box.
	w.info.Complete = w.data && (whole || !slices.Contains([]string{"meta", "mdat", "moov", "moof"}, cut))
	w.info.End = end
	if !w.info.Complete {
		w.info.End = len(b)
	}
	return w.info, nil
}

// boxes calls f for each box of b and returns where the last complete one ends. whole is false if a box extends past b;
// its body is then the part that exists. Bytes that cannot be a box end the walk: they follow the picture.
func boxes(b []byte, f func(name string, body []byte)) (end int, whole bool) {
	at := 0
	for at+8 <= len(b) {
		size, _ := u32(b, at)
		name, header := string(b[at+4:at+8]), 8
		switch size {
		case 0:
			size = len(b) - at
		case 1:
			long, ok := u64(b, at+8)
			if !ok || long > math.MaxInt32<<16 {
				return len(b), false
			}
			size, header = int(long), 16
		}
		if size < header || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) {
			return at, true
		}
		if size > len(b)-at {
			f(name, b[min(at+header, len(b)):])
			return at, false
		}
		f(name, b[at+header:at+size])
		at += size
	}
	return at, true
}

func (w *heifWalk) metaBox(name string, body []byte) {
	switch name {
	case "pitm":
		w.primary = itemAt(body, 4, idSize(body))
	case "idat":
		w.data, w.idat = true, body
	case "iloc":
		w.iloc = body
	case "iref":
		w.iref = body
		w.references(func(name string, from int, _ []byte) {
			if name == "prem" && from != 0 {
				w.multiplied = append(w.multiplied, from)
			}
		})
	case "iprp":
		var links []byte
		boxes(body, func(name string, body []byte) {
			switch name {
			case "ipco":
				boxes(body, w.property)
			case "ipma":
				links = body
			}
		})
		w.linked = primaryLinks(links, w.primary)
	}
}

// references calls f for each reference between items: from one to those in to, which begins after their count.
func (w *heifWalk) references(f func(name string, from int, to []byte)) {
	b := w.iref
	if len(b) < 4 {
		return
	}
	size := idSize(b)
	boxes(b[4:], func(name string, body []byte) {
		if len(body) >= size {
			f(name, itemAt(body, 0, size), body[size:])
		}
	})
}

// colourAsCoded takes the colours of an AVIF without colr from the AV1 sequence header. For a picture made of others it
// is the header of the first of them.
func (w *heifWalk) colourAsCoded(file []byte) {
	if w.info.Primaries > 0 || !w.av1 {
		return
	}
	w.info.Primaries, w.info.Transfer = av1Colours(w.config)
	if w.info.Primaries > 0 {
		return
	}
	item := w.primary
	w.references(func(name string, from int, to []byte) {
		if name == "dimg" && from == w.primary {
			item = itemAt(to, 2, idSize(w.iref))
		}
	})
	if p, ok := itemPlace(w.iloc, item); ok {
		w.info.Primaries, w.info.Transfer = av1Colours(p.in(file, w.idat))
	}
}

func (w *heifWalk) property(name string, body []byte) {
	var p heifProperty
	switch name {
	case "ispe":
		p.width, _ = u32(body, 4)
		p.height, _ = u32(body, 8)
	case "pixi":
		if len(body) >= 6 {
			p.bits = int(body[5])
		}
	case "irot":
		p.turned = len(body) > 0 && body[0]&1 != 0
	case "colr":
		w.info.Profile = p.colour(body) || w.info.Profile
	case "av1C":
		w.av1 = true
		p.config = body[min(4, len(body)):]
	case "auxC":
		urn := string(body[min(4, len(body)):])
		w.info.Alpha = w.info.Alpha || strings.Contains(urn, ":alpha") || strings.Contains(urn, "hevc:2015:auxid:1")
	}
	if len(w.properties) < maxProperties {
		w.properties = append(w.properties, p)
	}
}

// colour reads a colr box and reports whether it contains a profile.
func (p *heifProperty) colour(body []byte) (profile bool) {
	kind := string(body[:min(4, len(body))])
	if kind == "nclx" && len(body) >= 10 {
		p.primaries, _ = u16(body, 4)
		p.transfer, _ = u16(body, 6)
	}
	return kind == "prof" || kind == "rICC"
}

// primaryLinks reads the indexes of the properties of one item from an ipma box.
func primaryLinks(b []byte, item int) []int {
	if len(b) < 8 {
		return nil
	}
	size := 1 + int(b[3]&1)
	r := fieldReader{b: b, at: 4}
	for count := r.field(4); count > 0 && !r.short; count-- {
		id, n := r.field(idSize(b)), r.field(1)
		if id != item {
			r.at += n * size
			continue
		}
		indexes := make([]int, n)
		for i := range indexes {
			indexes[i] = r.field(size) &^ (1 << (8*size - 1)) // the top bit means "essential"
		}
		if !r.short {
			return indexes
		}
	}
	return nil
}

// choose takes size and bits from the primary item's properties, or from the largest picture if they are not linked.
func (w *heifWalk) choose() {
	turned := false
	for _, index := range w.linked {
		if index < 1 || index > len(w.properties) {
			continue
		}
		p := w.properties[index-1]
		w.info.grow(p.width, p.height)
		w.info.Bits = max(w.info.Bits, p.bits)
		turned = turned || p.turned
		if p.primaries > 0 {
			w.info.Primaries, w.info.Transfer = p.primaries, p.transfer
		}
		if len(p.config) > 0 {
			w.config = p.config
		}
	}
	w.info.Premultiplied = w.info.Alpha && slices.Contains(w.multiplied, w.primary)
	if w.info.Width == 0 {
		for _, p := range w.properties {
			if int64(p.width)*int64(p.height) > w.info.Pixels() {
				w.info.Width, w.info.Height = p.width, p.height
			}
			w.info.Bits = max(w.info.Bits, p.bits)
		}
	}
	if turned {
		w.info.Width, w.info.Height = w.info.Height, w.info.Width
	}
}
