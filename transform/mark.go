package transform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// The bounds of watermarks: the pixels and bytes of one, and the bytes of all in one request.
const (
	MarkPixels = 4_000_000
	MarkBytes  = 4 << 20
	marksBytes = 4 * MarkBytes
)

// Mark is the configured watermark; the zero Mark is none.
type Mark struct {
	body []byte
	sum  string
	err  error
}

// ReadMark reads a watermark; file "" = none. An error is reported by Open, since only workers need the picture.
func ReadMark(file string) (m Mark) {
	if file == "" {
		return Mark{}
	}
	m.body, m.err = os.ReadFile(file)
	if m.err == nil && len(m.body) > MarkBytes {
		m.err = fmt.Errorf("%s has more than %d bytes", file, MarkBytes)
	}
	if m.err != nil {
		return Mark{err: fmt.Errorf("transform.watermark: %w", m.err)}
	}
	sum := sha256.Sum256(m.body)
	m.sum = hex.EncodeToString(sum[:16])
	return m
}

// Fingerprint identifies the picture; "" = there is none.
func (m Mark) Fingerprint() string { return m.sum }

// String keeps the picture itself out of what is printed.
func (m Mark) String() string { return m.sum }

// tryMark makes a picture with the configured mark, if there is one.
func (p *Pool) tryMark(ctx context.Context) error {
	if p.cfg.Mark.sum == "" {
		return p.cfg.Mark.err
	}
	if err := p.check(ctx, variant.Watermark{Opacity: 1, Mark: p.cfg.Mark.sum}); err != nil {
		return fmt.Errorf("transform.watermark: %s", fault.Of(err).Public)
	}
	return nil
}

// marks collects the watermarks that one request needs.
type marks struct {
	cfg    Config
	given  map[string][]byte // with the original
	needed map[string][]byte
	bytes  int
	memory int64 // of their pixels
}

// need checks the watermark of a spec, and adds it.
func (m *marks) need(w variant.Watermark) error {
	body, ok := m.given[w.Mark]
	if w.Mark == m.cfg.Mark.sum {
		body, ok = m.cfg.Mark.body, w.Mark != ""
	}
	if w.Opacity == 0 || m.needed[w.Mark] != nil {
		return nil
	}
	if !ok {
		return fault.New(fault.UnsupportedOption, "transform.need", variant.NoWatermark, nil)
	}
	info, err := examine(variant.Original{Body: body}, m.cfg)
	if err != nil {
		return BadMark(err)
	}
	if m.bytes += len(body); info.Pixels() > MarkPixels || len(body) > MarkBytes || m.bytes > marksBytes {
		return BadMark(fault.New(fault.TooManyPixels, "transform.need", "it is too large", nil))
	}
	m.needed[w.Mark] = body
	m.memory += info.DecodedBytes(1) + 4*info.Pixels() // As RGBA it stays until the call ends.
	return nil
}

// BadMark is the failure of a picture that is requested as a watermark. Its kind does not condemn the original.
func BadMark(err error) error {
	f := fault.Of(err)
	if f.Kind == fault.Internal {
		return err
	}
	return fault.New(fault.BadOption, f.Op, "the watermark cannot be used: "+f.Public, f.Err)
}

// markAt is where a watermark lies in shared memory.
type markAt struct {
	Mark   string `json:"mark"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
}

// layMarks copies the watermarks of a request behind its original, and returns where they lie and end.
func layMarks(memory []byte, o variant.Original) (at []markAt, end int64) {
	end = int64(len(o.Body))
	for _, name := range slices.Sorted(maps.Keys(o.Marks)) {
		body := o.Marks[name]
		at = append(at, markAt{name, end, int64(len(body))})
		end += int64(copy(memory[end:], body))
	}
	return at, end
}

// findMarks finds the watermarks in a worker's memory.
func findMarks(memory []byte, at []markAt) map[string][]byte {
	found := map[string][]byte{}
	for _, m := range at {
		found[m.Mark] = memory[m.Offset : m.Offset+m.Length : m.Offset+m.Length]
	}
	return found
}

// suspectOf is what a crash on an original and its marks is blamed on.
func suspectOf(o variant.Original) []byte {
	if len(o.Marks) == 0 {
		return o.Body
	}
	all := sha256.New()
	all.Write(o.Body)
	for _, name := range slices.Sorted(maps.Keys(o.Marks)) {
		all.Write(o.Marks[name])
	}
	return all.Sum(nil)
}
