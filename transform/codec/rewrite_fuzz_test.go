package codec

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/container"
	"github.com/goldcrest/goldcrest/transform/codec/untouched"
	"github.com/goldcrest/goldcrest/variant"
)

// plantIn inserts the text into a rewritten file, at a place selected by n.
func plantIn(format variant.Format, clean []byte, n uint8) []byte {
	end := append(bytes.Clone(clean), planting...)
	switch format {
	case variant.JPEG:
		marker := []byte{0xe1, 0xe2, 0xe9, 0xed, 0xfe, 0xdc}[n%6]
		segment := string(binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(len(planting)+2))) + planting
		return [][]byte{end, splice(clean, 2, segment), splice(clean, -2, planting)}[n/6%3]
	case variant.PNG:
		chunk := string(container.AppendPNGChunk(nil, "gcXx", []byte(planting)))
		full := container.AppendPNGChunk(bytes.Clone(clean[:len(clean)-12]), "IEND", []byte(planting))
		return [][]byte{end, splice(clean, 33, chunk), splice(clean, -12, chunk), full}[n%4]
	case variant.GIF:
		block := string(rune(len(planting))) + planting
		return [][]byte{end, splice(clean, -1, "\x21\xfe"+block+"\x00"), splice(clean, -2, block)}[n%3]
	}
	// The last chunk of a still WebP is its picture.
	body := append(bytes.Clone(clean), string(container.AppendRIFF(nil, "GCXX", []byte(planting)))...)
	if n%3 == 1 {
		at := 12
		for {
			size := int(binary.LittleEndian.Uint32(clean[at+4:]))
			if next := at + 8 + size + size%2; next < len(clean) {
				at = next
				continue
			}
			body = container.AppendRIFF(bytes.Clone(clean[:at]), string(clean[at:at+4]), slices.Concat(clean[at+8:at+8+size], []byte(planting)))
			break
		}
	}
	binary.LittleEndian.PutUint32(body[4:], uint32(len(body)-8))
	return [][]byte{end, body, body}[n%3]
}

// FuzzRewriteContainer checks the rewriter on arbitrary bytes: the result has the same pixels, rewriting it again
// changes nothing, and inserted text is removed.
func FuzzRewriteContainer(f *testing.F) {
	names := []variant.Format{variant.JPEG, variant.PNG, variant.WebP, variant.GIF}
	for i, p := range allPlanted(f) {
		f.Add(uint8(i), p.body)
	}
	c := mustNew(f, "")
	f.Fuzz(func(t *testing.T, n uint8, b []byte) {
		info, err := sniff.Inspect(b)
		if err != nil || !info.Complete || info.Pixels() > 1<<16 || info.Frames > 1 {
			return
		}
		format := untouched.Format(info.Format)
		got, err := untouched.Rewrite(format, b[:info.End])
		if err != nil {
			return
		}
		if !slices.Contains(names, format) {
			t.Fatalf("%s is rewritten", info.Format)
		}
		if again, err := untouched.Rewrite(format, got); err != nil || !bytes.Equal(got, again) {
			t.Fatalf("rewritten twice it differs: %v", err)
		}
		sown := plantIn(format, got, n)
		seen, err := sniff.Inspect(sown)
		if err != nil {
			t.Fatal(err)
		}
		again, err := untouched.Rewrite(format, sown[:seen.End])
		if err != nil && format == variant.WebP && info.Frames > 0 {
			return // A frame of an animation that does not end in a chunk is refused.
		}
		// A partition with more data after it may keep two more zeros.
		if text := []byte(planting); err != nil || bytes.Count(again, text) > bytes.Count(got, text) || len(again) > len(got)+2 {
			t.Fatalf("%s: what was planted by %d comes out: %v", format, n, err)
		}
		spec := variant.Spec{Format: variant.PNG}
		want, err := one(t, c, b, spec, testLimits)
		if err != nil || info.Orientation > 1 || info.Profile {
			return // An original that a decoder refuses is never passed through; profiles and orientations are converted.
		}
		if img, err := one(t, c, got, spec, testLimits); err != nil || !bytes.Equal(img.Body, want.Body) {
			t.Errorf("%s: %v, or other pixels", format, err)
		}
	})
}
