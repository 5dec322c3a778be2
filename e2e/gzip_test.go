package e2e

import (
	"compress/gzip"
	"io"
)

// gzipZeros writes n zero bytes, compressed.
func gzipZeros(w io.Writer, n int64) {
	z := gzip.NewWriter(w)
	defer z.Close()
	io.CopyN(z, zeros{}, n)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
