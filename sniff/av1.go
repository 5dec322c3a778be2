package sniff

// maxOBUs is how many units are searched for the sequence header. It is the first, or the second after a temporal
// delimiter.
const maxOBUs = 8

// av1Colours reads the code points of the primaries and the transfer function from the sequence header of an AV1
// picture; 0 = not present.
func av1Colours(b []byte) (primaries, transfer int) {
	for range maxOBUs {
		kind, body, rest := nextOBU(b)
		if kind == 1 {
			return sequenceColours(body)
		}
		b = rest
	}
	return 0, 0
}

// nextOBU splits the first unit off b. Its kind is 0 if there is none.
func nextOBU(b []byte) (kind int, body, rest []byte) {
	if len(b) == 0 {
		return 0, nil, nil
	}
	kind, at := int(b[0]>>3&15), 1
	if b[0]&4 != 0 {
		at++ // The extension.
	}
	if b[0]&2 == 0 { // Without a size it extends to the end.
		return kind, b[min(at, len(b)):], nil
	}
	size := 0
	for shift := 0; shift < 28; shift += 7 {
		if at >= len(b) {
			return 0, nil, nil
		}
		v := int(b[at])
		at++
		size |= (v & 0x7f) << shift
		if v < 0x80 {
			end := min(at+size, len(b))
			return kind, b[at:end], b[end:]
		}
	}
	return 0, nil, nil
}

// sequenceColours reads the fields of a sequence header up to its color_config, as the AV1 specification orders
// them (5.5.1 and 5.5.2).
func sequenceColours(b []byte) (primaries, transfer int) {
	r := bitReader{b: b}
	profile := r.bits(3)
	r.bits(1) // still_picture
	reduced := r.bits(1) == 1
	if reduced {
		r.bits(5) // seq_level_idx
	} else {
		r.skipOperatingPoints()
	}
	wide, high := r.bits(4)+1, r.bits(4)+1
	r.bits(wide)
	r.bits(high)
	if !reduced && r.bits(1) == 1 { // frame_id_numbers_present_flag
		r.bits(4 + 3)
	}
	r.bits(3) // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
	if !reduced {
		r.skipTools()
	}
	r.bits(3) // enable_superres, enable_cdef, enable_restoration

	if r.bits(1) == 1 && profile == 2 { // high_bitdepth
		r.bits(1) // twelve_bit
	}
	if profile != 1 {
		r.bits(1) // mono_chrome
	}
	if r.bits(1) == 0 { // color_description_present_flag
		return 0, 0
	}
	primaries, transfer = r.bits(8), r.bits(8)
	if r.short {
		return 0, 0
	}
	return primaries, transfer
}

// skipOperatingPoints reads from timing_info_present_flag to the last operating point.
func (r *bitReader) skipOperatingPoints() {
	delay := 0 // bits of a buffer's delay; 0 = there is no decoder model
	if r.bits(1) == 1 {
		r.bits(32)
		r.bits(32)
		if r.bits(1) == 1 { // equal_picture_interval
			r.uvlc()
		}
		if r.bits(1) == 1 { // decoder_model_info_present_flag
			delay = r.bits(5) + 1
			r.bits(32)
			r.bits(5 + 5)
		}
	}
	display := r.bits(1) == 1
	for points := r.bits(5) + 1; points > 0; points-- {
		r.bits(12)
		if r.bits(5) > 7 { // seq_level_idx
			r.bits(1)
		}
		if delay > 0 && r.bits(1) == 1 {
			r.bits(delay)
			r.bits(delay)
			r.bits(1)
		}
		if display && r.bits(1) == 1 {
			r.bits(4)
		}
	}
}

// skipTools reads from enable_interintra_compound to order_hint_bits_minus_1.
func (r *bitReader) skipTools() {
	r.bits(4)
	ordered := r.bits(1) == 1
	if ordered {
		r.bits(2)
	}
	screen := r.bits(1) == 1 // seq_choose_screen_content_tools
	if !screen {
		screen = r.bits(1) == 1 // seq_force_screen_content_tools
	}
	if screen && r.bits(1) == 0 { // seq_choose_integer_mv
		r.bits(1)
	}
	if ordered {
		r.bits(3)
	}
}

// bitReader reads numbers, most significant bit first. After the end all bits are 0, and short is set.
type bitReader struct {
	b     []byte
	at    int // in bits
	short bool
}

func (r *bitReader) bits(n int) (v int) {
	for ; n > 0; n-- {
		v <<= 1
		if r.at>>3 >= len(r.b) {
			r.short = true
			continue
		}
		v |= int(r.b[r.at>>3]>>(7-r.at&7)) & 1
		r.at++
	}
	return v
}

// uvlc skips a number of variable length.
func (r *bitReader) uvlc() {
	zeros := 0
	for zeros < 32 && !r.short && r.bits(1) == 0 {
		zeros++
	}
	if zeros < 32 {
		r.bits(zeros)
	}
}
