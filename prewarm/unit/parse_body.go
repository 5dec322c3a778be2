package unit

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/goldcrest/goldcrest/fault"
)

// compressedSlack is how much larger than the limit of decoded bytes a compressed body may be: incompressible data
// grows a little.
const compressedSlack = 64 << 10

// zstdWindow bounds the window, and so the memory, that a zstd stream may require.
const zstdWindow = 8 << 20

// ReadBody reads and decompresses at most limit bytes; a larger body is refused once that many are read. It is the
// first step of parsing a call. grow is called with the number of decoded bytes before they are kept; its error ends the
// reading. nil allows all.
func ReadBody(body io.Reader, encoding string, limit int64, grow func(n int64) error) ([]byte, error) {
	raw := &wire{r: io.LimitedReader{R: body, N: limit + compressedSlack}}
	decoded := io.Reader(raw)
	var err error
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
	case "gzip", "x-gzip":
		decoded, err = gzip.NewReader(raw)
	case "zstd":
		var z *zstd.Decoder
		z, err = zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderLowmem(true))
		if err == nil {
			defer z.Close()
		}
		decoded = z
	default:
		return nil, unreadable("the Content-Encoding is none of gzip, zstd and identity", nil)
	}
	var b bytes.Buffer
	var n int64
	if err == nil {
		n, err = b.ReadFrom(&grown{r: io.LimitReader(decoded, limit+1), grow: grow})
	}
	switch {
	case n > limit || raw.r.N <= 0:
		return nil, tooMuch(fmt.Sprintf("the body is larger than %d bytes; send it in several calls", limit))
	case isFault(raw.err): // the reader's own fault is more precise
		return nil, raw.err
	case raw.err != nil:
		return nil, fault.New(fault.Canceled, "unit.ParseText", "the body is incomplete", raw.err)
	case isFault(err): // from grow
		return nil, err
	case err != nil:
		return nil, unreadable("the body cannot be decompressed", err)
	}
	return b.Bytes(), nil
}

func isFault(err error) bool {
	var f *fault.Error
	return errors.As(err, &f)
}

// grown calls grow for each piece that is read.
type grown struct {
	r    io.Reader
	n    int64
	grow func(n int64) error
}

// Read implements io.Reader.
func (g *grown) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	g.n += int64(n)
	if n > 0 && g.grow != nil {
		if full := g.grow(g.n); full != nil {
			return 0, full
		}
	}
	return n, err
}

// wire records why reading the body failed, so that a broken connection is not reported as broken compression.
type wire struct {
	r   io.LimitedReader
	err error
}

// Read implements io.Reader.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

func tooMuch(public string) error {
	return fault.New(fault.BodyTooLarge, "unit.ParseText", public, nil)
}

func unreadable(public string, cause error) error {
	return fault.New(fault.BadUnit, "unit.ParseText", public, cause)
}
