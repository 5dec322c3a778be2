package sequence

import (
	"bytes"
	"slices"
	"testing"
)

// bars are frames of one colour each, with alpha if bands is 2 or 4.
func bars(width, height, bands int, colours ...[4]byte) Frames {
	f := Frames{Width: width, Height: height, Bands: bands}
	for i, c := range colours {
		pixel := c[:bands]
		if bands < 3 {
			pixel = []byte{c[0], c[3]}[:bands]
		}
		f.Samples = append(f.Samples, bytes.Repeat(pixel, width*height)...)
		f.Delays = append(f.Delays, 40+10*i)
	}
	return f
}

func needsLibheif(t *testing.T) {
	t.Helper()
	if !Supported() {
		t.Skip("this libheif writes no sequences")
	}
}

var threeColours = [][4]byte{{200, 40, 20, 255}, {30, 180, 60, 128}, {20, 50, 220, 0}}

// Each frame comes back with its colours and its alpha, from samples of one to four bands and of odd sizes.
func TestFramesComeBack(t *testing.T) {
	needsLibheif(t)
	for bands := 1; bands <= 4; bands++ {
		for _, fast := range []bool{true, false} {
			f := bars(33, 17, bands, threeColours...)
			file, err := Encode(f, 80, fast)
			if err != nil {
				t.Fatal(bands, fast, err)
			}
			got, err := Decode(file, f, []int{0, 1, 2})
			if err != nil {
				t.Fatal(bands, fast, err)
			}
			wide := bands
			if bands < 3 {
				wide += 2
			}
			for i, c := range threeColours {
				if bands < 3 {
					c[1], c[2] = c[0], c[0]
				}
				at := (i*17*33 + 9*33 + 32) * wide
				if c[3] == 0 && wide == 4 {
					c = [4]byte{} // The colour of what is not seen does not matter.
					copy(c[:], got[at:at+3])
				}
				for b := range wide {
					if d := int(got[at+b]) - int(c[b]); d < -6 || d > 6 {
						t.Errorf("%d bands, fast %v, frame %d: %v, want %v", bands, fast, i, got[at:at+wide], c[:wide])
						break
					}
				}
			}
		}
	}
}

// Only some frames may be decoded. What is not there is refused.
func TestSomeFramesComeBack(t *testing.T) {
	needsLibheif(t)
	f := bars(16, 16, 3, threeColours...)
	file, err := Encode(f, 80, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, wanted := range [][]int{{0}, {2}, {0, 2}, {1, 2}} {
		got, err := Decode(file, f, wanted)
		if err != nil || len(got) != len(wanted)*16*16*3 {
			t.Fatalf("%v: %d bytes, %v", wanted, len(got), err)
		}
		for i, n := range wanted {
			if p := got[i*16*16*3:]; max(p[0], p[1], p[2]) != p[n] {
				t.Errorf("%v: frame %d begins with %v", wanted, n, p[:3])
			}
		}
	}
	for _, wanted := range [][]int{nil, {-1}, {3}} {
		if _, err := Decode(file, f, wanted); err == nil {
			t.Errorf("%v is decoded", wanted)
		}
	}
}

// timing is what a file says of its delays and repetitions.
func timing(t *testing.T, file []byte) (delays []int, plays uint64, repeats bool) {
	t.Helper()
	moov := at(file, "moov")
	track := at(moov, "trak")
	times := at(track, "mdia", "minf", "stbl", "stts")
	for i := range big.Uint32(times[4:]) {
		run := times[8+8*i:]
		delays = append(delays, slices.Repeat([]int{int(big.Uint32(run[4:]))}, int(big.Uint32(run)))...)
	}
	length := uint64(big.Uint32(at(track, "mdia", "mdhd")[16:]))
	edits, header := at(track, "edts", "elst"), at(track, "tkhd")
	if header[0] == 1 {
		if big.Uint64(header[28:]) != 1<<64-1 {
			t.Errorf("the track lasts %x", header[28:36])
		}
		return delays, 0, edits[3]&1 == 1
	}
	return delays, uint64(big.Uint32(header[20:])) / length, edits[3]&1 == 1
}

func TestTimesAndRepetitions(t *testing.T) {
	needsLibheif(t)
	for _, loop := range []int{0, 1, 2, 7} {
		f := bars(16, 16, 4, threeColours...)
		f.Loop, f.Delays[1], f.Delays[2] = loop, 0, 11
		file, err := Encode(f, 50, true)
		if err != nil {
			t.Fatal(err)
		}
		delays, plays, repeats := timing(t, file)
		if !slices.Equal(delays, []int{40, 100, 11}) || plays != uint64(loop) || repeats != (loop != 1) {
			t.Errorf("loop %d: delays %v, %d plays, repeats %v", loop, delays, plays, repeats)
		}
	}
}

// A file of another structure is refused, and never read past its end.
func TestUnknownStructures(t *testing.T) {
	needsLibheif(t)
	f := bars(16, 16, 4, threeColours...)
	f.Loop = 1
	file, err := Encode(f, 50, true)
	if err != nil {
		t.Fatal(err)
	}
	end := bytes.Index(file, []byte("mdat")) - 4
	for i := range end {
		if _, err := finish(bytes.Clone(file[:i]), f, true); err == nil {
			t.Fatalf("a file cut at %d of %d passes", i, end)
		}
		broken := bytes.Clone(file)
		broken[i] ^= 0x85
		_, _ = finish(broken, f, true)
	}
}

func TestWhatIsEmptyIsRefused(t *testing.T) {
	for _, f := range []Frames{{}, {Width: 4, Height: 4, Bands: 3}, {Width: 4, Height: 4, Bands: 3, Delays: []int{1}},
		{Samples: make([]byte, 47), Width: 4, Height: 4, Bands: 3, Delays: []int{1}}} {
		if _, err := Encode(f, 50, true); err == nil {
			t.Errorf("%+v is encoded", f)
		}
	}
}
