package frosted

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

// The wanted hashes are those of the reference implementation (npm thumbhash 0.1.1) for the same pixels. A wave that is
// not in the picture lies between two steps, 7 and 8, and the last bit of a cosine decides: both are accepted.
func TestHashIsTheReferences(t *testing.T) {
	type bytes [4]byte
	mixed := func(x, y int) bytes { return bytes{byte(x*5 + y*3), byte(x * y), byte(255 - x*4), 255} }
	glassy := func(x, y int) bytes { return bytes{byte(x*11 + y), byte(y * 9), byte(x * y * 3), byte(x*8 + y*5)} }
	for _, tt := range []struct {
		name string
		w, h int
		draw func(x, y int) bytes
		want string
	}{
		{"landscape", 50, 33, mixed, "4CYGbYgLWXY1eZd1eWqHhlBnd9Cy"},
		{"portrait", 20, 31, mixed, "IQQKTQZTdnCZWIlnaYeHd2B0lp/4"},
		{"square", 8, 8, mixed, "FxECHwJyh3eQh4iHiHeIiIiHB1iIcQoH"},
		{"strip", 1, 50, mixed, "W5E2sSUIh4iIh4iH94eHQIg="},
		{"wide strip", 50, 1, mixed, "F/UuwbyHh4eIiAiIgodPiAg="},
		{"one pixel", 1, 1, mixed, "FQAq/wEI9wiIh4hwj3CI+AiIcH/4AAAA"},
		{"grey", 40, 30, func(x, y int) bytes { return bytes{byte(x * 6), byte(x * 6), byte(x * 6), 255} }, "HQgaBYBwd3d3iIiHiIiHiAAAAAAA"},
		{"alpha landscape", 50, 20, glassy, "nFeGEogndySAmYeIgH3zd2eQdoR3eIc="},
		{"alpha portrait", 13, 29, glassy, "HoiFEgonc6CYaIjYoC35V3J3cHiIeHg="},
		{"clear", 9, 9, func(x, y int) bytes { return bytes{} }, "AAiCBQAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="},
		{"black", 7, 5, func(x, y int) bytes { return bytes{3: 255} }, "AAgCBYAAAAAAAAAAAAAAAAAAAAAA"},
	} {
		var pixels []byte
		for y := range tt.h {
			for x := range tt.w {
				c := tt.draw(x, y)
				pixels = append(pixels, c[:]...)
			}
		}
		if got := Hash(tt.w, tt.h, pixels); steps(t, got) != steps(t, tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// steps returns the head of a hash and its waves; 7 and 8 are replaced by one value.
func steps(t *testing.T, hash string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(hash)
	if err != nil || len(b) < 6 {
		t.Fatalf("%q is no hash: %v", hash, err)
	}
	head := 5 + int(b[2]>>7)
	return hex.EncodeToString(b[:head]) + strings.ReplaceAll(hex.EncodeToString(b[head:]), "8", "7")
}

func BenchmarkHash(b *testing.B) {
	pixels := make([]byte, 4*50*50)
	for i := range pixels {
		pixels[i] = byte(i * 7)
	}
	for b.Loop() {
		Hash(50, 50, pixels)
	}
}
