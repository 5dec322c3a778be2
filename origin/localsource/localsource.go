// Package localsource opens originals that are files below configured directories: local:///path.
package localsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/stall"
)

// maxCalls is the maximum of concurrent calls to the file system.
const maxCalls = 64

// Source opens files. Safe for concurrent use.
type Source struct {
	roots []root
	calls *stall.Calls
}

// root is an open directory: nothing outside it can be reached through it.
type root struct {
	at  string // ends with "/"
	dir *os.Root
}

// Open opens the directories. Close closes them.
func Open(roots []Root) (*Source, error) {
	if err := Validate(roots); err != nil {
		return nil, err
	}
	s := &Source{calls: stall.New(maxCalls)}
	for i, r := range roots {
		dir, err := os.OpenRoot(r.Dir)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("origin.local: entry %d: dir: %w", i+1, err), s.Close())
		}
		s.roots = append(s.roots, root{r.at(), dir})
	}
	return s, nil
}

// Close closes the directories. Files that are being read stay open. Close of a nil Source does nothing.
func (s *Source) Close() error {
	if s == nil {
		return nil
	}
	var errs []error
	for _, r := range s.roots {
		errs = append(errs, r.dir.Close())
	}
	return errors.Join(errs...)
}

// Check implements origin.Source.
func (s *Source) Check(u *url.URL) error {
	_, _, err := s.find(u)
	return err
}

// find returns the directory of a source, and the file name in it.
func (s *Source) find(u *url.URL) (*os.Root, string, error) {
	var dir *os.Root
	name, at := "", ""
	for _, r := range s.roots {
		if rest, ok := strings.CutPrefix(u.Path, r.at); ok && len(r.at) > len(at) {
			dir, name, at = r.dir, rest, r.at
		}
	}
	switch {
	case u.Host != "" || u.Opaque != "" || u.User != nil:
		return nil, "", fault.New(fault.BadSource, "localsource.find",
			"a local source names no host: local:///path is wanted", nil)
	case dir == nil:
		return nil, "", fault.New(fault.SourceNotAllowed, "localsource.find",
			"the source is below no directory that is configured", nil)
	case !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\x00"):
		return nil, "", fault.New(fault.BadSource, "localsource.find", "the source is not the path of a file", nil)
	}
	return dir, name, nil
}

// Open implements origin.Source. Only regular files are read.
func (s *Source) Open(ctx context.Context, u *url.URL, conditions http.Header) (*http.Response, error) {
	dir, name, err := s.find(u)
	if err != nil {
		return nil, err
	}
	response, err := stall.Do(ctx, s.calls, func() (*http.Response, error) {
		r, err := open(dir, name, conditions)
		if err == nil && ctx.Err() != nil { // the caller has left and will not close it
			_ = r.Body.Close()
			return nil, ctx.Err()
		}
		return r, err
	})
	if err != nil {
		return nil, err
	}
	response.Body = &body{ctx: ctx, file: response.Body, calls: s.calls}
	return response, nil
}

// open opens a file, or returns the reason why it cannot.
func open(dir *os.Root, name string, conditions http.Header) (*http.Response, error) {
	// Without O_NONBLOCK, opening a pipe would wait for its writer.
	f, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return refusal(err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if !info.Mode().IsRegular() {
		return answer(http.StatusForbidden, "403 not a regular file"), f.Close()
	}
	modified := info.ModTime().UTC()
	r := answer(http.StatusOK, "")
	r.Header.Set("ETag", fmt.Sprintf(`"%x-%x"`, modified.UnixNano(), info.Size()))
	r.Header.Set("Last-Modified", modified.Format(http.TimeFormat))
	if unchanged(r.Header, modified, conditions) {
		r.StatusCode = http.StatusNotModified
		return r, f.Close()
	}
	r.ContentLength, r.Body = info.Size(), f
	return r, nil
}

// refusal is the response for a file that cannot be opened. os.Root has no error of its own for a name outside the
// directory.
func refusal(err error) (*http.Response, error) {
	var errno syscall.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENAMETOOLONG):
		return answer(http.StatusNotFound, ""), nil
	case errors.Is(err, fs.ErrPermission):
		return answer(http.StatusForbidden, "403 no permission"), nil
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENXIO), !errors.As(err, &errno):
		return answer(http.StatusForbidden, "403 not a file below its directory"), nil
	}
	return nil, fault.New(fault.SourceError, "localsource.open", "the file cannot be read", err)
}

// unchanged reports whether the request's conditions match the file.
func unchanged(h http.Header, modified time.Time, conditions http.Header) bool {
	if tag := conditions.Get("If-None-Match"); tag != "" {
		return tag == h.Get("ETag")
	}
	since, err := http.ParseTime(conditions.Get("If-Modified-Since"))
	return err == nil && !modified.Truncate(time.Second).After(since)
}

func answer(status int, text string) *http.Response {
	return &http.Response{StatusCode: status, Status: text, Header: http.Header{}, Body: http.NoBody}
}

// body is a file whose reads may hang.
type body struct {
	ctx   context.Context
	file  io.ReadCloser
	calls *stall.Calls
}

// Read implements io.Reader. A call that hangs is abandoned, with a buffer of its own.
func (b *body) Read(p []byte) (int, error) {
	type part struct {
		bytes []byte
		err   error
	}
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	own := make([]byte, min(len(p), 256<<10))
	got, err := stall.Do(b.ctx, b.calls, func() (part, error) {
		n, err := b.file.Read(own)
		return part{own[:n], err}, nil
	})
	if err != nil {
		return 0, err
	}
	return copy(p, got.bytes), got.err
}

// Close implements io.Closer.
func (b *body) Close() error { return b.file.Close() }
