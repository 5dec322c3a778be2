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

// firstBuffer is what a body of unknown length is given to begin with.
const firstBuffer = 64 << 10

// minWindowBytes is what a body must bring in each quarter of the timeout.
const minWindowBytes = 1 << 10

// read takes the body under its limits and checks that it is a whole picture.
func (f *fetch) read(ctx context.Context, cancel context.CancelCauseFunc, response *http.Response) (o Original, err error) {
	length := response.ContentLength
	if length > f.cap {
		return Original{}, tooLarge()
	}
	// A body whose end the protocol marks cannot have lost its tail unnoticed.
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

// noRoom words the end of a wait for memory.
func noRoom(err error) error { return waited(err, "origin.read", "too many originals are in work") }

// readAll reads a body of a known length into a buffer of just that size, and one of an unknown length (-1) up to
// limit. The latter's buffer grows by what grow admits.
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
			return slices.Clone(b), nil // The buffer may be twice as large, and is not what was admitted.
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

// contentCoding gives the content codings that an answer names, "" for none, and reports whether gzip is one of them.
// Stores keep whatever an upload named (aws-chunked, utf-8, none), so a name alone refuses nothing.
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

// stillCoded explains a body that is no picture by the coding that its answer names, where the bytes are nothing else
// that is known: an HTML page under any coding is an HTML page.
func stillCoded(coding string, body []byte, err error) error {
	format := sniff.Format(body)
	if coding == "" || fault.KindOf(err) != fault.NotAnImage || len(body) == 0 || format != "" && format != "gzip" {
		return err
	}
	public := fmt.Sprintf("the origin sends the file in a content coding that was not asked for and cannot be read (%.40q)", coding)
	return fault.New(fault.SourceError, "origin.read", public, fault.ErrThisFile)
}

// gunzip decodes a body that came compressed although it was not asked for. Some stores put the header on plain files:
// the bytes decide. What comes out counts against the byte cap.
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

// gzipBody names the faults of the coding itself; a broken connection stays what it is.
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

// watched is a body that is cut when it comes too slowly.
type watched struct {
	body   io.Reader
	cancel context.CancelCauseFunc
	window time.Duration
	got    atomic.Int64

	mu      sync.Mutex
	timer   *time.Timer // nil = stopped
	seen    int64
	resting bool // nobody reads
}

func watch(body io.Reader, window time.Duration, cancel context.CancelCauseFunc) *watched {
	w := &watched{body: body, cancel: cancel, window: window}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(window, w.look)
	return w
}

// Read counts what passes.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.body.Read(p)
	w.got.Add(int64(n))
	return n, err
}

// look is called at the end of each window.
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

// rest tells that nobody reads for a while, or does again from now on.
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
