// Package credit keeps who made a picture: it reads copyright and artist out of EXIF, and writes them, and an ICC
// profile, into files without metadata. Nothing else of the original's metadata is copied.
package credit

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"unicode"
)

// Kept is what is written into a variant. The zero value is nothing.
type Kept struct {
	Artist, Copyright string
	Profile           []byte // ICC
}

// The tags of EXIF's first directory, and how its texts are stored.
const (
	tagArtist    = 0x013b
	tagCopyright = 0x8298
	typeASCII    = 2
	entryBytes   = 12
)

// maxText is the length of the longest text that is kept, in bytes. The rest is cut off.
const maxText = 1000

// Read finds copyright and artist in an EXIF block, with or without its prefix "Exif\0\0". What is malformed is absent.
func Read(exif []byte) (k Kept) {
	b := bytes.TrimPrefix(exif, []byte("Exif\x00\x00"))
	if len(b) < 8 {
		return k
	}
	var order binary.ByteOrder = binary.BigEndian
	if b[0] == 'I' {
		order = binary.LittleEndian
	}
	at := uint64(order.Uint32(b[4:]))
	if at+2 > uint64(len(b)) {
		return k
	}
	entries := b[at+2:]
	for n := order.Uint16(b[at:]); n > 0 && len(entries) >= entryBytes; n-- {
		switch order.Uint16(entries) {
		case tagArtist:
			k.Artist = text(b, entries, order)
		case tagCopyright:
			k.Copyright = text(b, entries, order)
		}
		entries = entries[entryBytes:]
	}
	return k
}

// text is the value of an entry: printable characters only. Editor and photographer of a copyright, which a zero byte
// separates, become one text.
func text(b, entry []byte, order binary.ByteOrder) string {
	size := uint64(order.Uint32(entry[4:]))
	value := entry[8:entryBytes]
	if size > 4 {
		from := uint64(order.Uint32(value))
		if from+size > uint64(len(b)) {
			return ""
		}
		value = b[from : from+size]
	}
	if order.Uint16(entry[2:]) != typeASCII || size == 0 || size < 4 && int(size) > len(value) {
		return ""
	}
	value = value[:min(size, uint64(len(value)), maxText)]
	parts := strings.FieldsFunc(strings.ToValidUTF8(string(value), "?"), func(r rune) bool { return r == 0 })
	printable := func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}
	for i, part := range parts {
		parts[i] = strings.TrimSpace(strings.Map(printable, part))
	}
	return strings.Trim(strings.Join(parts, "; "), "; ")
}

// tagged is a text of EXIF's first directory.
type tagged struct {
	tag  uint16
	text string
}

// exif writes the texts as an EXIF block without prefix; nil if there is none.
func (k Kept) exif() []byte {
	texts := []tagged{{tagArtist, k.Artist}, {tagCopyright, k.Copyright}} // in the order of their tags
	texts = slices.DeleteFunc(texts, func(t tagged) bool { return t.text == "" })
	if len(texts) == 0 {
		return nil
	}
	var entries, values []byte
	order := binary.BigEndian
	start := uint32(8 + 2 + len(texts)*entryBytes + 4) // header, number of entries, entries, no further directory
	for _, t := range texts {
		value := append([]byte(t.text), 0)
		entries = order.AppendUint16(order.AppendUint16(entries, t.tag), typeASCII)
		entries = order.AppendUint32(entries, uint32(len(value)))
		if len(value) <= 4 {
			entries = append(entries, append(value, 0, 0, 0)[:4]...)
			continue
		}
		entries = order.AppendUint32(entries, start+uint32(len(values)))
		if values = append(values, value...); len(values)%2 != 0 {
			values = append(values, 0)
		}
	}
	out := order.AppendUint32([]byte("MM\x00*"), 8)
	out = append(order.AppendUint16(out, uint16(len(texts))), entries...)
	return append(order.AppendUint32(out, 0), values...)
}
