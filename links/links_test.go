package links

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/secretfile"
)

const (
	id    = "0123456789abcdef0123456789abcdef"
	other = "1123456789abcdef0123456789abcdef"
	link  = "https://b.example/a.jpg?X-Amz-Signature=1"
	newer = "https://b.example/a.jpg?X-Amz-Signature=2"
)

func config(keys ...string) (c Config) {
	for _, k := range keys {
		c.Keys = append(c.Keys, secretfile.Key{Key: strings.Repeat(k, secretfile.MinKey)})
	}
	return c
}

func open(t *testing.T, cfg Config, s Store) *Links {
	t.Helper()
	l, err := New(cfg, s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// counted counts what a store is asked for, and fails where it is told to.
type counted struct {
	Store
	mu   sync.Mutex
	puts int
	fail error
}

func (c *counted) Put(ctx context.Context, id string, sealed []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return c.fail
	}
	c.puts++
	return c.Store.Put(ctx, id, sealed)
}

func (c *counted) Get(ctx context.Context, id string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return nil, c.fail
	}
	return c.Store.Get(ctx, id)
}

func memory() *counted { return &counted{Store: InStore(cache.NewMemory(1 << 20).Store())} }

// What one instance keeps is the newest link for all that share the store; the same link is not stored twice.
func TestNewestLinkIsSharedByInstances(t *testing.T) {
	s := memory()
	a, b := open(t, config("k"), s), open(t, config("k"), s)
	for _, want := range []string{link, newer, link} {
		for range 2 {
			if err := a.Keep(t.Context(), map[string]string{id: want}); err != nil {
				t.Fatal(err)
			}
		}
		for _, l := range []*Links{a, b} {
			if got, err := l.Newest(t.Context(), id); got != want || err != nil {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
		}
	}
	if s.puts != 3 {
		t.Errorf("%d links were stored, want 3", s.puts)
	}
	if _, err := b.Newest(t.Context(), other); fault.KindOf(err) != fault.SourceForbidden {
		t.Errorf("an unknown id: %v", err)
	}
}

// A link is not readable where it is kept, not with another key, and not as another id's.
func TestSealed(t *testing.T) {
	s := memory()
	l := open(t, config("k", "o"), s)
	if err := l.Keep(t.Context(), map[string]string{id: link}); err != nil {
		t.Fatal(err)
	}
	sealed, err := s.Get(t.Context(), id)
	if err != nil || strings.Contains(string(sealed), "b.example") {
		t.Fatalf("%q, %v", sealed, err)
	}
	if err := s.Put(t.Context(), other, sealed); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Newest(t.Context(), other); fault.KindOf(err) != fault.SourceForbidden {
		t.Errorf("the link of another id: %q, %v", got, err)
	}
	for _, c := range []struct {
		keys []string
		want fault.Kind
	}{{[]string{"n", "k"}, ""}, {[]string{"k"}, ""}, {[]string{"o"}, fault.SourceForbidden}} {
		got, err := open(t, config(c.keys...), s).Newest(t.Context(), id)
		if fault.KindOf(err) != c.want || (err == nil) != (got == link) {
			t.Errorf("keys %v: %q, %v", c.keys, got, err)
		}
	}
}

// A store that fails refuses what is to be kept. What this instance kept before is used all the same.
func TestStoreFails(t *testing.T) {
	s := memory()
	l := open(t, config("k"), s)
	if err := l.Keep(t.Context(), map[string]string{id: link}); err != nil {
		t.Fatal(err)
	}
	s.fail = errors.New("down")
	many := map[string]string{}
	for _, c := range "0123456789abcdef" {
		many[string(c)+id[1:]] = newer
	}
	if err := l.Keep(t.Context(), many); fault.KindOf(err) != fault.Overloaded || !errors.Is(err, s.fail) {
		t.Errorf("kept: %v", err)
	}
	if got, err := l.Newest(t.Context(), id); got != link || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := l.Newest(t.Context(), other); fault.KindOf(err) != fault.Overloaded {
		t.Errorf("unknown here: %v", err)
	}
}

func TestCacheOfRecentLinksIsBounded(t *testing.T) {
	l := open(t, config("k"), memory())
	for i := range recentLinks + 2 {
		l.recent.Add(strconv.Itoa(i), link)
	}
	if first, last := l.recent.Contains("1"), l.recent.Contains(strconv.Itoa(recentLinks+1)); first || !last {
		t.Errorf("the first link is kept: %v, the last: %v", first, last)
	}
}

// fakeOrigin notes what it is asked for, within the caller's hosts as an origin.Client.
type fakeOrigin struct{ asked, forgotten []string }

func (f *fakeOrigin) Fetch(_ context.Context, source string, lim origin.Limits) (origin.Original, error) {
	u, err := url.Parse(source)
	if err != nil || !lim.Within.Allows(reach.Place(u.Scheme, u.Hostname())) {
		return origin.Original{}, reach.Refused("test")
	}
	f.asked = append(f.asked, source)
	return origin.Original{}, nil
}

func (f *fakeOrigin) Forget(source string) { f.forgotten = append(f.forgotten, source) }

func TestFetcher(t *testing.T) {
	o := &fakeOrigin{}
	l := open(t, config("k"), memory())
	if err := l.Keep(t.Context(), map[string]string{id: link}); err != nil {
		t.Fatal(err)
	}
	f := Fetcher{o, l}
	for _, source := range []string{"ref:" + id, "https://c.example/"} {
		if _, err := f.Fetch(t.Context(), source, origin.Limits{}); err != nil {
			t.Fatal(err)
		}
		f.Forget(source)
	}
	want := link + " https://c.example/"
	if strings.Join(o.asked, " ") != want || strings.Join(o.forgotten, " ") != want {
		t.Errorf("asked %q, forgot %q", o.asked, o.forgotten)
	}
	within, err := reach.Of([]string{"*.example"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Fetch(t.Context(), "ref:"+id, origin.Limits{Within: within}); err != nil {
		t.Errorf("within its hosts: %v", err)
	}
	beyond, _ := reach.Of([]string{"c.example"})
	if _, err := f.Fetch(t.Context(), "ref:"+id, origin.Limits{Within: beyond}); !errors.Is(err, reach.ErrBeyond) {
		t.Errorf("beyond its hosts: %v", err)
	}
	bucket := strings.Repeat("b", 32)
	if err := l.Keep(t.Context(), map[string]string{bucket: "s3://photos/a.jpg?sig=1"}); err != nil {
		t.Fatal(err)
	}
	objects, _ := reach.Of([]string{"s3://photos"})
	if _, err := f.Fetch(t.Context(), "ref:"+bucket, origin.Limits{Within: objects}); err != nil {
		t.Errorf("within its bucket: %v", err)
	}
	off := Fetcher{o, nil}
	if _, err := off.Fetch(t.Context(), "ref:"+id, origin.Limits{}); fault.KindOf(err) != fault.SourceForbidden {
		t.Errorf("no links are kept: %v", err)
	}
	off.Forget("ref:" + id)
	if len(o.asked) != 4 {
		t.Errorf("asked %q", o.asked)
	}
}

func TestConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(strings.Repeat("k", secretfile.MinKey)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := memory()
	if err := open(t, config("k"), s).Keep(t.Context(), map[string]string{id: link}); err != nil {
		t.Fatal(err)
	}
	byFile := open(t, Config{Keys: []secretfile.Key{{KeyFile: file}}}, s)
	if got, err := byFile.Newest(t.Context(), id); got != link || err != nil {
		t.Errorf("by a file: %q, %v", got, err)
	}
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, keys := range [][]secretfile.Key{
		nil, {{}}, {{Key: "short"}}, {{KeyFile: file}}, {{Key: strings.Repeat("k", 32), KeyFile: file}}, {{KeyFile: file + "x"}},
	} {
		c := Config{Keys: keys}
		if _, err := New(c, s); err == nil || strings.Contains(err.Error(), "kkkk") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
