package origin

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
)

// firstBuffer is the initial buffer for a body of unknown length.
const firstBuffer = 64 << 10

// minWindowBytes is the minimum that a body must deliver in each quarter of the timeout.
const minWindowBytes = 1 << 10

// read reads the body under its limits and checks that it is a complete picture.
func (f *fetch) read(ctx context.Context, cancel context.CancelCauseFunc, response *http.Response) (o Original, err error) {
	length := response.ContentLength
	if length > f.cap {
		return Original{}, tooLarge()
	}
	// If the protocol marks the end of the body, truncation is detected.
	framed := length >= 0 || len(response.TransferEncoding) > 0
	coding, zipped := contentCoding(response.Header)
	if zipped {
		length = -1
	}
	first, most := length, length
	if length < 0 {
		first, most = min(firstBuffer, f.cap), f.cap
	}
	held, err := f.settings.memory.enter(ctx, hostName(f.source), first, most)
	if err != nil {
		return Original{}, noRoom(err)
	}
	defer func() {
		held.arrived(int64(len(o.Body))) // 0 after a fault.
		o.Release = sync.OnceFunc(held.release)
	}()
	w := watch(response.Body, f.settings.cfg.Timeout/4, cancel)
	defer w.stop()
	grow := func(bytes int64) error {
		w.rest(true)
		defer w.rest(false)
		if err := held.grow(ctx, bytes); err != nil {
			return noRoom(err)
		}
		return nil
	}
	var body io.Reader = w
	if zipped {
		f.client.hooks.Observer.Noted("gzip")
		if body, err = gunzip(w); err != nil {
			return Original{}, err
		}
	}
	if o.Body, err = readAll(body, length, f.cap, grow); err != nil {
		return Original{}, err
	}
	if o.Info, err = f.complete(o.Body, framed); err != nil {
		return Original{}, stillCoded(coding, o.Body, err)
	}
	o.Fresh = parseFreshness(response.Header, f.client.hooks.Now())
	o.LastModified, _ = http.ParseTime(response.Header.Get("Last-Modified"))
	return o, nil
}

// noRoom turns the end of a wait for memory into a fault.
func noRoom(err error) error { return waited(err, "origin.read", "too many originals are in work") }

// readAll reads a body of a known length into a buffer of that size, and one of unknown length (-1) up to limit. In the
// second case grow admits the growth of the buffer.
func readAll(r io.Reader, length, limit int64, grow func(bytes int64) error) ([]byte, error) {
	if length >= 0 {
		b := make([]byte, length)
		_, err := io.ReadFull(r, b)
		return b, err
	}
	b := make([]byte, 0, min(firstBuffer, limit+1))
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if int64(len(b)) > limit {
			return nil, tooLarge()
		}
		if err == io.EOF {
			return slices.Clone(b), nil // The buffer may be twice as large, and only len(b) was admitted.
		}
		if err != nil {
			return nil, err
		}
		if len(b) == cap(b) {
			size := min(2*int64(cap(b)), limit+1)
			if more := min(size, limit) - int64(cap(b)); more > 0 {
				if err := grow(more); err != nil {
					return nil, err
				}
			}
			grown := make([]byte, len(b), size)
			copy(grown, b)
			b = grown
		}
	}
}

func tooLarge() error {
	return fault.New(fault.SourceTooLarge, "origin.read", "the source is larger than allowed", nil)
}

// contentCoding returns the content codings that a response names, "" for none, and reports whether gzip is one of
// them. Stores keep whatever the upload named (aws-chunked, utf-8, none), so a name alone is not a reason to refuse.
func contentCoding(h http.Header) (coding string, zipped bool) {
	var names []string
	for _, line := range h.Values("Content-Encoding") {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if name != "" && name != "identity" {
				names = append(names, name)
			}
			zipped = zipped || name == "gzip" || name == "x-gzip"
		}
	}
	return strings.Join(names, ", "), zipped
}

// stillCoded names the content coding in the error of a body that is not a picture and of no other known type: an HTML
// page under any coding is an HTML page.
func stillCoded(coding string, body []byte, err error) error {
	format := sniff.Format(body)
	if coding == "" || fault.KindOf(err) != fault.NotAnImage || len(body) == 0 || format != "" && format != "gzip" {
		return err
	}
	public := fmt.Sprintf("the origin sends the file in a content coding that was not asked for and cannot be read (%.40q)", coding)
	return fault.New(fault.SourceError, "origin.read", public, fault.ErrThisFile)
}

// gunzip decompresses a body that came compressed although that was not requested. Some stores set the header on plain
// files, so the bytes decide. The byte limit applies to the output.
func gunzip(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(r)
	head, err := buffered.Peek(2)
	if err == nil && head[0] == 0x1f && head[1] == 0x8b {
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, badGzip(err)
		}
		return gzipBody{z}, nil
	}
	return buffered, nil
}

// gzipBody turns errors of the gzip format into faults; a broken connection stays what it is.
type gzipBody struct{ *gzip.Reader }

func (g gzipBody) Read(p []byte) (int, error) {
	n, err := g.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = badGzip(err)
	}
	return n, err
}

func badGzip(err error) error {
	if err == gzip.ErrChecksum || err == gzip.ErrHeader || strings.HasPrefix(err.Error(), "flate:") {
		return fault.New(fault.SourceError, "origin.read", "the origin sends a broken content coding", fmt.Errorf("%w: %w", fault.ErrThisFile, err))
	}
	return err
}

// watched is a body that is cut off when it arrives too slowly.
type watched struct {
	body   io.Reader
	cancel context.CancelCauseFunc
	window time.Duration
	got    atomic.Int64

	mu      sync.Mutex
	timer   *time.Timer // nil = stopped
	seen    int64
	resting bool // nothing reads it at the moment
}

func watch(body io.Reader, window time.Duration, cancel context.CancelCauseFunc) *watched {
	w := &watched{body: body, cancel: cancel, window: window}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(window, w.look)
	return w
}

// Read counts the bytes.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.body.Read(p)
	w.got.Add(int64(n))
	return n, err
}

// look runs at the end of each window.
func (w *watched) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil {
		return
	}
	got := w.got.Load()
	if got-w.seen < minWindowBytes && !w.resting {
		w.cancel(errSlow)
		return
	}
	w.seen = got
	w.timer.Reset(w.window)
}

// rest suspends or resumes the check, for pauses of the reader.
func (w *watched) rest(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resting, w.seen = on, w.got.Load()
	w.timer.Reset(w.window)
}

func (w *watched) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	w.timer = nil
}
