package sequence

import (
	"encoding/binary"
	"errors"
	"slices"
)

// errFile says that libheif wrote a file of another structure than the one that was tried.
var errFile = errors.New("sequence: libheif wrote an unknown structure")

// brands are the types of a file that is both a sequence and a still picture.
const brands = "avis\x00\x00\x00\x00avisavifmsf1mif1miafisom"

var big = binary.BigEndian

// finish completes a file of libheif. It adds a description of the first frame as a still picture, for decoders that
// play no sequences: without it they show nothing. With once it changes two plays to one. Without an edit list, which
// is libheif's way to say one, browsers play for ever.
func finish(file []byte, f Frames, once bool) ([]byte, error) {
	head, rest, ok := child(file, "ftyp")
	if !ok {
		return nil, errFile
	}
	from := len(file) - len(rest)
	moov, _, ok := child(rest, "moov")
	if !ok {
		return nil, errFile
	}
	tracks := tracksOf(moov)
	if len(tracks) == 0 || slices.ContainsFunc(tracks, func(t track) bool { return !t.complete() }) {
		return nil, errFile
	}
	if once {
		if err := playOnce(moov, tracks); err != nil {
			return nil, err
		}
	}
	types := box("ftyp", []byte(brands))
	more := len(types) - len(head) - 8 + len(still(f, tracks))
	for _, t := range tracks {
		big.PutUint32(t.offset, big.Uint32(t.offset)+uint32(more))
	}
	return slices.Concat(types, still(f, tracks), file[from:]), nil
}

// track is what is used of a track. The fields share the file's bytes.
type track struct {
	header, media, edits []byte // the bodies of tkhd, mdhd and elst
	config               []byte // the body of av1C
	offset, size         []byte // of the first frame
}

func (t track) complete() bool {
	return len(t.header) >= 24 && len(t.media) >= 20 && len(t.edits) >= 12 &&
		t.config != nil && t.offset != nil && t.size != nil
}

// tracksOf are the tracks: the colours first, then alpha if there is alpha.
func tracksOf(moov []byte) (all []track) {
	for len(moov) > 0 {
		trak, rest, ok := child(moov, "trak")
		if !ok {
			break
		}
		moov = rest
		var t track
		t.header = at(trak, "tkhd")
		t.edits = at(trak, "edts", "elst")
		t.media = at(trak, "mdia", "mdhd")
		table := at(trak, "mdia", "minf", "stbl")
		if entries := at(table, "stsd"); len(entries) > 8 {
			if entry := at(entries[8:], "av01"); len(entry) > 78 {
				t.config = at(entry[78:], "av1C")
			}
		}
		if sizes := at(table, "stsz"); len(sizes) >= 16 {
			t.size = sizes[12:16]
		}
		if chunks := at(table, "stco"); len(chunks) >= 12 {
			t.offset = chunks[8:12]
		}
		all = append(all, t)
	}
	return all
}

// playOnce sets the durations of the file and its tracks to that of their frames, and clears the flag for repetition.
func playOnce(moov []byte, tracks []track) error {
	movie := at(moov, "mvhd")
	if len(movie) < 20 {
		return errFile
	}
	for _, t := range tracks {
		if movie[0] != 0 || t.header[0] != 0 || t.media[0] != 0 {
			return errFile // Durations of 64 bits.
		}
		length := t.media[16:20]
		copy(movie[16:], length)
		copy(t.header[20:], length)
		copy(t.edits[8:], length)
		t.edits[3] &^= 1
	}
	return nil
}

// still describes the first frame as a still picture whose data are those of the sequence.
func still(f Frames, tracks []track) []byte {
	const alpha = "\x00\x00\x00\x00urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\x00"
	size := big.AppendUint32(big.AppendUint32(make([]byte, 4), uint32(f.Width)), uint32(f.Height))
	properties := [][]byte{box("ispe", size), box("pixi", []byte{0, 0, 0, 0, 3, 8, 8, 8}), box("av1C", tracks[0].config),
		box("colr", []byte("nclx\x00\x01\x00\x0d\x00\x06\x80"))}
	links := []byte{0, 1, 4, 1, 2, 0x80 | 3, 4}
	items, places := box("infe", []byte("\x02\x00\x00\x00\x00\x01\x00\x00av01\x00")), place(1, tracks[0])
	var refs []byte
	if len(tracks) > 1 {
		properties = append(properties, box("pixi", []byte{0, 0, 0, 0, 1, 8}), box("av1C", tracks[1].config),
			box("auxC", []byte(alpha)))
		links = append(links, 0, 2, 4, 1, 5, 0x80|6, 7)
		items = append(items, box("infe", []byte("\x02\x00\x00\x00\x00\x02\x00\x00av01\x00"))...)
		places = append(places, place(2, tracks[1])...)
		refs = box("iref", make([]byte, 4), box("auxl", []byte{0, 2, 0, 1, 0, 1}))
	}
	n := byte(len(tracks))
	return box("meta", make([]byte, 4),
		box("hdlr", []byte("\x00\x00\x00\x00\x00\x00\x00\x00pict\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")),
		box("pitm", []byte{0, 0, 0, 0, 0, 1}),
		box("iloc", []byte{0, 0, 0, 0, 0x44, 0, 0, n}, places),
		box("iinf", []byte{0, 0, 0, 0, 0, n}, items),
		refs,
		box("iprp", box("ipco", properties...), box("ipma", []byte{0, 0, 0, 0, 0, 0, 0, n}, links)))
}

// place is the entry of an item in iloc: the data of the track's first frame.
func place(id byte, t track) []byte {
	return slices.Concat([]byte{0, id, 0, 0, 0, 1}, t.offset, t.size)
}

func box(name string, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	return slices.Concat(big.AppendUint32(nil, uint32(len(body)+8)), []byte(name), body)
}

// at is the body of the box at a path; nil if there is none.
func at(b []byte, path ...string) []byte {
	for _, name := range path {
		b, _, _ = child(b, name)
	}
	return b
}

// child is the body of the first box with a name, and what follows the box.
func child(b []byte, name string) (body, rest []byte, ok bool) {
	for len(b) >= 8 {
		n := int(big.Uint32(b))
		if n < 8 || n > len(b) {
			return nil, nil, false
		}
		if string(b[4:8]) == name {
			return b[8:n], b[n:], true
		}
		b = b[n:]
	}
	return nil, nil, false
}
