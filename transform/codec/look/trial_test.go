package look

import (
	"hash/crc32"
	"testing"
)

// TestTrialEncodeEqualsThatOfTheFittedModels compares with the sizes and pixels of libvips' jpegsave and jpegload, on
// which the models were fitted: libvips 8.14 and 8.16 gave these.
func TestTrialEncodeEqualsThatOfTheFittedModels(t *testing.T) {
	for kind, want := range []struct {
		size int
		sum  uint32
	}{{4863, 0x84292dd}, {33209, 0x58c95abc}, {27005, 0x48bb6fb5}, {3358, 0xf2690cbd}} {
		back, got, err := drawn(kind).trial()
		if sum := crc32.ChecksumIEEE(back); err != nil || got != want.size || sum != want.sum {
			t.Errorf("kind %d: %d bytes, pixels of sum %#x, and %v; want %+v", kind, got, sum, err, want)
		}
	}
}

// drawn is a sample of a slope, of noise, of stripes or of one level, by kind.
func drawn(kind int) sample {
	s := sample{tiles: 160}
	z := s.size()
	s.rgb = make([]byte, z.Area()*3)
	random := uint32(1)
	for i := range s.rgb {
		x, y := i/3%z.W, i/3/z.W
		random = random*1664525 + 1013904223
		s.rgb[i] = byte([]int{x/2 + y*(i%3)/3, int(random >> 24), (x + i%3) / 5 % 2 * 255, 200}[kind])
	}
	return s
}
