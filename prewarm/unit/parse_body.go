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

// compressedSlack is how much larger than the limit of decoded bytes a compressed body may be: what is not compressible
// grows a little.
const compressedSlack = 64 << 10

// zstdWindow bounds what a zstd stream may ask the decoder to remember.
const zstdWindow = 8 << 20

// ReadBody reads and decompresses at most limit bytes; a larger body is refused when that many were seen. It is what
// ParseCall does first. grow is told how many decoded bytes there are before they are kept, and ends the reading with
// its error; nil agrees to all.
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
	case isFault(raw.err): // The reader knows better why it ends.
		return nil, raw.err
	case raw.err != nil:
		return nil, fault.New(fault.Canceled, "unit.ParseCall", "the body did not arrive whole", raw.err)
	case isFault(err): // Of grow.
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

// grown tells of each piece that is read.
type grown struct {
	r    io.Reader
	n    int64
	grow func(n int64) error
}

// Read is that of io.Reader.
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

// wire remembers why reading the body failed, so that the caller's connection is not taken for a broken compression.
type wire struct {
	r   io.LimitedReader
	err error
}

// Read is that of io.Reader.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

func tooMuch(public string) error {
	return fault.New(fault.BodyTooLarge, "unit.ParseCall", public, nil)
}

func unreadable(public string, cause error) error {
	return fault.New(fault.BadUnit, "unit.ParseCall", public, cause)
}
