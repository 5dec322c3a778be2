package localsource

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// tree makes a directory with files, and one beside it with a secret.
func tree(t *testing.T) (dir, outside string) {
	t.Helper()
	base := t.TempDir()
	dir, outside = filepath.Join(base, "in"), filepath.Join(base, "out")
	for name, text := range map[string]string{"in/a.jpg": "picture", "in/sub/b c.jpg": "deep", "out/secret": "secret",
		"in/closed.jpg": "closed"} {
		path := filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, outside
}

func openAll(t *testing.T, roots ...Root) *Source {
	t.Helper()
	s, err := Open(roots)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// get gives the text of an answer, or its status or kind.
func get(t *testing.T, s *Source, source string, conditions http.Header) (string, *http.Response) {
	t.Helper()
	u, err := url.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), u, conditions)
	if err != nil {
		return string(fault.KindOf(err)), nil
	}
	defer r.Body.Close()
	if r.StatusCode != 200 {
		return http.StatusText(r.StatusCode), r
	}
	text, err := io.ReadAll(r.Body)
	if err != nil || int64(len(text)) != r.ContentLength {
		t.Errorf("%s: %d bytes of %d, %v", source, len(text), r.ContentLength, err)
	}
	return string(text), r
}

// No name and no link of any kind leads out of the directory.
func TestNoPathOrLinkLeavesTheDirectory(t *testing.T) {
	dir, outside := tree(t)
	for name, to := range map[string]string{
		"inside.jpg": "a.jpg", "relative.jpg": "../out/secret", "absolute.jpg": filepath.Join(outside, "secret"),
		"loop.jpg": "loop.jpg",
		"back.jpg": "../in/a.jpg", "dir": "../out", "up": "..",
	} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.jpg"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := openAll(t, Root{Dir: dir}, Root{At: "/deep", Dir: filepath.Join(dir, "sub")})
	const absent, forbidden = "Not Found", "Forbidden"
	for source, want := range map[string]string{
		"local:///a.jpg": "picture", "local:///a.jpg?v=2": "picture", "local:///sub/b%20c.jpg": "deep",
		"local:///deep/b%20c.jpg": "deep",
		"local:///inside.jpg":     "picture",
		"local:///absent.jpg":     absent, "local:///deep/a.jpg": absent, "local:///a.jpg/x": absent, "local:///" +
			strings.Repeat("n", 300): absent,
		"local:///relative.jpg": forbidden, "local:///absolute.jpg": forbidden, "local:///loop.jpg": forbidden,
		"local:///back.jpg":   forbidden,
		"local:///dir/secret": forbidden, "local:///up/out/secret": forbidden, "local:///sub": forbidden,
		"local:///pipe.jpg":      forbidden,
		"local:///../out/secret": string(fault.BadSource), "local:///%2e%2e/out/secret": string(fault.BadSource),
		"local:///..%2fout%2fsecret": string(fault.BadSource),
		"local:///sub/../a.jpg":      string(fault.BadSource), "local:////etc/passwd": string(fault.BadSource),
		"local:///":         string(fault.BadSource),
		"local:///a%00.jpg": string(fault.BadSource), "local://host/a.jpg": string(fault.BadSource),
	} {
		if got, _ := get(t, s, source, nil); got != want {
			t.Errorf("%s: %q, want %q", source, got, want)
		}
	}
	if got, _ := get(t, openAll(t, Root{At: "/shop/", Dir: dir}), "local:///a.jpg",
		nil); got != string(fault.SourceNotAllowed) {
		t.Errorf("below no directory: %q", got)
	}
	if got, _ := get(t, openAll(t, Root{At: "/shop/", Dir: dir}), "local:///shop/a.jpg", nil); got != "picture" {
		t.Errorf("below its place: %q", got)
	}
	if os.Getuid() != 0 { // Root may read everything.
		if err := os.Chmod(filepath.Join(dir, "closed.jpg"), 0); err != nil {
			t.Fatal(err)
		}
		if got, _ := get(t, s, "local:///closed.jpg", nil); got != forbidden {
			t.Errorf("without permission: %q", got)
		}
	}
}

func TestConditions(t *testing.T) {
	dir, _ := tree(t)
	s := openAll(t, Root{Dir: dir})
	_, first := get(t, s, "local:///a.jpg", nil)
	tag, modified := first.Header.Get("ETag"), first.Header.Get("Last-Modified")
	for _, h := range []http.Header{{"If-None-Match": {tag}}, {"If-Modified-Since": {modified}}} {
		if got, _ := get(t, s, "local:///a.jpg", h); got != "Not Modified" {
			t.Errorf("%v: %q", h, got)
		}
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "a.jpg"), later, later); err != nil {
		t.Fatal(err)
	}
	for _, h := range []http.Header{{"If-None-Match": {tag}}, {"If-Modified-Since": {modified}},
		{"If-None-Match": {tag}, "If-Modified-Since": {later.Format(http.TimeFormat)}}} {
		if got, _ := get(t, s, "local:///a.jpg", h); got != "picture" {
			t.Errorf("%v: %q after a change", h, got)
		}
	}
}

// A caller who leaves gets no file, and none stays open for it.
func TestCanceled(t *testing.T) {
	dir, _ := tree(t)
	s := openAll(t, Root{Dir: dir})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := s.Open(ctx, &url.URL{Scheme: "local", Path: "/a.jpg"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	cancel()
	if n, err := r.Body.Read(make([]byte, 3)); n != 0 || err == nil {
		t.Errorf("read %d, %v after the end", n, err)
	}
	if _, err := s.Open(ctx, &url.URL{Scheme: "local", Path: "/a.jpg"}, nil); err == nil {
		t.Error("opened after the end")
	}
}

func TestOpenRefusals(t *testing.T) {
	for want, roots := range map[string][]Root{
		"not an absolute path":  {{Dir: "in"}},
		"does not begin with /": {{At: "a", Dir: "/"}},
		"given twice":           {{At: "/a", Dir: "/"}, {At: "/a/", Dir: "/"}},
		"no such file":          {{Dir: "/absent/directory"}},
	} {
		if _, err := Open(roots); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
