package sniff

import (
	"strconv"
	"strings"
	"testing"
)

// sequence is a sequence header OBU of the fields given as bits, padded with zeros.
func sequence(fields ...string) string {
	bits := strings.ReplaceAll(strings.Join(fields, ""), " ", "")
	bits += strings.Repeat("0", 16-len(bits)%8)
	var body []byte
	for ; bits != ""; bits = bits[8:] {
		v, _ := strconv.ParseUint(bits[:8], 2, 8)
		body = append(body, byte(v))
	}
	return "\x0a" + string([]byte{byte(len(body))}) + string(body)
}

const (
	reduced = "000 1 1 00000"
	size    = "0011 0011 0110 0101" // 7 x 6, in 4 bits each
	tools   = "000"                 // before and behind those that reduced headers leave out
	p3      = "1 00001100 00001101 00000110"
	plain   = "0 0" // 8 bits, in colour
)

// located is an AVIF whose item 1 lies in mdat or idat, as the iloc and the further boxes of its meta say. AT is
// the offset of data.
func located(iloc, more, data string) []byte {
	file := func(at byte) string {
		placed := box("iloc", strings.ReplaceAll(iloc, "AT", string([]byte{at})))
		meta := box("meta", "\x00\x00\x00\x00"+box("pitm", "\x00\x00\x00\x00\x00\x01")+
			box("iprp", box("ipco", ispe(7, 6)+box("av1C", "\x81\x00\x0c\x00")))+placed+more)
		return box("ftyp", "avif\x00\x00\x00\x00mif1") + meta + box("mdat", data)
	}
	return []byte(file(byte(len(file(0)) - len(data))))
}

// TestColoursOfTheSequenceHeader finds the numbers of an AVIF without colr wherever a sequence header may stand,
// and in each form of one.
func TestColoursOfTheSequenceHeader(t *testing.T) {
	short := sequence(reduced, size, tools, tools, plain, p3)
	full := sequence("000 0 0",
		"1", strings.Repeat("0", 64), "1 00101", // timing, with a uvlc of two bits
		"1 00011", strings.Repeat("1", 32), "00000 00000", // a decoder model, delays of 4 bits
		"1 00001",                              // display delays, two operating points
		"000000000001 01000 1 1 1111 0000 1 0", // tier, model
		"000000000010 00111 0 1 0101",          // display delay
		size, "1 0000 000", tools,
		"0000 1 11 0 1 0 1 101", // tools, ordered, screen content forced
		tools, plain, p3)
	simple := sequence("000 1 0 0 0 00000 000000000000 00000", size, "0", tools, "0000 0 1 1", tools, plain, p3)
	profile1 := sequence("001 1 1 00000", size, tools, tools, "1", p3)
	profile2 := sequence("010 1 1 00000", size, tools, tools, "1 1 0", p3)
	untold := sequence(reduced, size, tools, tools, plain, "0 11111111")

	config := func(obus string) []byte { return avif("avif", ispe(7, 6), box("av1C", "\x81\x00\x0c\x00"+obus)) }
	for name, tt := range map[string]struct {
		b    []byte
		want int
	}{
		"short":              {config(short), 12},
		"full":               {config(full), 12},
		"simple":             {config(simple), 12},
		"profile 1":          {config(profile1), 12},
		"profile 2":          {config(profile2), 12},
		"not told":           {config(untold), 0},
		"cut":                {config(short[:7]), 0},
		"behind a delimiter": {config("\x12\x00" + short), 12},
		"of no size":         {config("\x08" + short[2:]), 12},
		"with an extension":  {config("\x0e\x00" + short[1:]), 12},
		"size without end":   {config("\x0a\xff\xff\xff\xff\xff"), 0},
		"colr counts": {avif("avif", ispe(3, 2), box("av1C", "\x81\x00\x0c\x00"+short),
			box("colr", "nclx\x00\x01\x00\x0d\x00\x06\x80")), 1},
		"not AV1": {avif("heic", ispe(7, 6), box("hvcC", "\x81\x00\x0c\x00"+short)), 0},
		"in mdat": {located("\x00\x00\x00\x00\x44\x00\x00\x01"+
			"\x00\x01\x00\x00\x00\x01\x00\x00\x00AT\x00\x00\x00\x20", "", short), 12},
		"behind another item": {located("\x00\x00\x00\x00\x44\x00\x00\x02"+
			"\x00\x05\x00\x00\x00\x02aaaabbbbccccdddd"+"\x00\x01\x00\x00\x00\x01\x00\x00\x00AT\x00\x00\x00\x00", "", short), 12},
		"by base": {located("\x01\x00\x00\x00\x04\x44\x00\x01"+
			"\x00\x01\x00\x00\x00\x00\x00\x00\x00AT\x00\x01iiii\x00\x00\x00\x20", "", short), 12},
		"in idat": {located("\x02\x00\x00\x00\x44\x00\x00\x00\x00\x01"+
			"\x00\x00\x00\x01\x00\x01\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x20",
			box("idat", "xx"+short), ""), 12},
		"a grid's first": {located("\x00\x00\x00\x00\x44\x00\x00\x01"+
			"\x00\x07\x00\x00\x00\x01\x00\x00\x00AT\x00\x00\x00\x20",
			box("iref", "\x00\x00\x00\x00"+box("dimg", "\x00\x01\x00\x02\x00\x07\x00\x08")), short), 12},
		"in another file": {located("\x00\x00\x00\x00\x44\x00\x00\x01"+
			"\x00\x01\x00\x01\x00\x01\x00\x00\x00AT\x00\x00\x00\x20", "", short), 0},
		"of another item": {located("\x01\x00\x00\x00\x44\x00\x00\x01"+
			"\x00\x01\x00\x02\x00\x00\x00\x01\x00\x00\x00AT\x00\x00\x00\x20", "", short), 0},
		"beyond the file": {located("\x00\x00\x00\x00\x44\x00\x00\x01"+
			"\x00\x01\x00\x00\x00\x01\x00\xffAT\x00\x00\x00\x00\x20", "", short), 0},
		"beyond any file": {located("\x00\x00\x00\x00\x84\x00\x00\x01"+
			"\x00\x01\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x20", "", short), 0},
		"extents of no size": {located("\x00\x00\x00\x00\x00\x00\x00\x02"+
			"\x00\x05\x00\x00\xff\xff"+"\x00\x01\x00\x00\x00\x00", "", short), 0},
		"extents that are not all": {located("\x00\x00\x00\x00\x44\x00\x00\x02"+
			"\x00\x05\x00\x00\xff\xff"+"\x00\x01", "", short), 0},
	} {
		in, err := Inspect(tt.b)
		wantTransfer := map[int]int{12: 13, 1: 13}[tt.want]
		if err != nil || in.Primaries != tt.want || in.Transfer != wantTransfer {
			t.Errorf("%s: primaries %d, transfer %d, %v; want %d, %d",
				name, in.Primaries, in.Transfer, err, tt.want, wantTransfer)
		}
	}
}
