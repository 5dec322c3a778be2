// Package cachetest is the conformance suite that every Store passes.
package cachetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/cache"
)

// Run tests a Store against the contract of cache.Store. open returns an empty Store with room for 64 MiB; each test
// calls it once.
func Run(t *testing.T, open func(t *testing.T) cache.Store) {
	tests := []struct {
		name string
		test func(t *testing.T, s cache.Store)
	}{
		{"roundtrip", roundtrip},
		{"miss", miss},
		{"replace", replace},
		{"bodies", bodies},
		{"odd keys", oddKeys},
		{"bad keys", badKeys},
		{"bad entries", badEntries},
		{"delete", deletePrefix},
		{"delete all", deleteAll},
		{"delete within a segment", deleteWithinSegment},
		{"cancelled context", cancelled},
		{"concurrent writers", concurrent},
		{"concurrent delete", concurrentDelete},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, open(t)) })
	}
}

// Entry returns an entry with every field of Meta set and a body derived from seed.
func Entry(seed string, size int) cache.Entry {
	return cache.Entry{
		Meta: cache.Meta{
			ContentType: "image/webp",
			ETag:        `"` + seed + `"`,
			Created:     time.Date(2026, 11, 23, 8, 15, 30, 0, time.UTC),
			Recipe:      7,
			Attrs:       map[string]string{"w": "480", "h": "360", "note": `a=b, "c"; ~  \ .<&>`, "empty": ""},
		},
		Body: Body(seed, size),
	}
}

// Body returns size bytes derived from seed.
func Body(seed string, size int) []byte {
	return bytes.Repeat([]byte(seed+"\x00\xff\n"), size/(len(seed)+3)+1)[:size:size]
}

// Diff describes how got differs from want as it was passed to Put; "" if it does not.
func Diff(got, want cache.Entry) string {
	if !bytes.Equal(got.Body, want.Body) {
		return fmt.Sprintf("a body of %d bytes that differs from the %d put", len(got.Body), len(want.Body))
	}
	want.Size = int64(len(want.Body))
	return diffMeta(got.Meta, want.Meta)
}

func diffMeta(got, want cache.Meta) string {
	same := got.ContentType == want.ContentType && got.ETag == want.ETag && got.Size == want.Size &&
		got.Created.Equal(want.Created) && got.Created.Location() == time.UTC &&
		got.Recipe == want.Recipe && maps.Equal(got.Attrs, want.Attrs)
	if !same {
		return fmt.Sprintf("meta %+v, want %+v", got, want)
	}
	return ""
}

func put(t *testing.T, s cache.Store, key string, e cache.Entry) {
	t.Helper()
	if err := s.Put(t.Context(), key, e); err != nil {
		t.Fatalf("Put(%q) = %v", key, err)
	}
}

func expect(t *testing.T, s cache.Store, key string, want cache.Entry) {
	t.Helper()
	got, err := s.Get(t.Context(), key)
	if err != nil {
		t.Errorf("Get(%q) = %v", key, err)
		return
	}
	if d := Diff(got, want); d != "" {
		t.Errorf("Get(%q) = %s", key, d)
	}
	m, err := s.Stat(t.Context(), key)
	if err != nil {
		t.Errorf("Stat(%q) = %v", key, err)
		return
	}
	want.Size = int64(len(want.Body))
	if d := diffMeta(m, want.Meta); d != "" {
		t.Errorf("Stat(%q) = %s", key, d)
	}
}

func expectMiss(t *testing.T, s cache.Store, key string) {
	t.Helper()
	if _, err := s.Get(t.Context(), key); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("Get(%q) = %v, want ErrMiss", key, err)
	}
	if _, err := s.Stat(t.Context(), key); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("Stat(%q) = %v, want ErrMiss", key, err)
	}
}

func roundtrip(t *testing.T, s cache.Store) {
	e := Entry("one", 1234)
	put(t, s, "v1/ab/hash/w480.webp", e)
	expect(t, s, "v1/ab/hash/w480.webp", e)

	plain := cache.Entry{Body: []byte("body only")}
	put(t, s, "v1/ab/hash/plain", plain)
	expect(t, s, "v1/ab/hash/plain", plain)

	// A time with a fraction and a zone is returned as UTC in whole seconds, and a wrong Size is corrected.
	zoned := Entry("two", 10)
	zoned.Size = 99
	zoned.Created = zoned.Created.Add(999 * time.Millisecond).In(time.FixedZone("x", 3600))
	put(t, s, "v1/ab/hash/zoned", zoned)
	zoned.Created = zoned.Created.Truncate(time.Second)
	expect(t, s, "v1/ab/hash/zoned", zoned)

	widest := Entry("wide", 10)
	widest.ContentType, widest.ETag = strings.Repeat("c", 100), strings.Repeat("e", 100)
	widest.Attrs = map[string]string{"k": strings.Repeat("v", 1020)}
	put(t, s, "v1/ab/hash/widest", widest)
	expect(t, s, "v1/ab/hash/widest", widest)
}

func miss(t *testing.T, s cache.Store) {
	expectMiss(t, s, "v1/ab/hash/none.webp")
	put(t, s, "v1/ab/hash/w480.webp", Entry("one", 10))
	expectMiss(t, s, "v1/ab/hash/w480")
	expectMiss(t, s, "v1/ab/hash")
	expectMiss(t, s, "v1/ab/hash/w480.webp/more")
}

func replace(t *testing.T, s cache.Store) {
	const key = "v1/ab/hash/spec.jpg"
	for _, e := range []cache.Entry{Entry("first", 100), Entry("second", 5000), {Body: []byte("3")}} {
		put(t, s, key, e)
		expect(t, s, key, e)
	}
	if n, err := s.Delete(t.Context(), key); n != 1 || err != nil {
		t.Errorf("Delete = %d, %v, want 1", n, err)
	}
}

func bodies(t *testing.T, s cache.Store) {
	for _, size := range []int{0, 1, 4096, 1 << 20, 8 << 20} {
		key := fmt.Sprintf("v1/ab/size/%d.png", size)
		e := Entry("body", size)
		put(t, s, key, e)
		expect(t, s, key, e)
	}
}

func oddKeys(t *testing.T, s cache.Store) {
	keys := []string{
		"a", "b/c", "d/..e", "d/f..", "d/.g", "d/...", "h i/j  k", "l%2Fm/n%00", "o?p=q&r#s", "t+u*v'w\"x<y>z", `back\slash`,
		"~tilde", "-dash/--", "c:/d", "e@f,g;h=i!(j)$[k]{l}|^`", "Case", "case", "v1/" + strings.Repeat("n", 200),
		strings.TrimSuffix(strings.Repeat(strings.Repeat("d", 100)+"/", 5), "/"),
	}
	for _, key := range keys {
		put(t, s, key, Entry("key "+key[:1], 64+len(key)))
	}
	for _, key := range keys {
		expect(t, s, key, Entry("key "+key[:1], 64+len(key)))
	}
	for _, key := range keys {
		if n, err := s.Delete(t.Context(), key); n != 1 || err != nil {
			t.Errorf("Delete(%q) = %d, %v, want 1", key, n, err)
		}
		expectMiss(t, s, key)
	}
}

func badKeys(t *testing.T, s cache.Store) {
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "a/./b", "a/../b", "../a", "a/..", "a\x00b", "a\nb", "a\x7fb", "\u00fc", "\xff",
		strings.Repeat("n", 201), strings.Repeat("d/", 256) + "e",
	} {
		if err := s.Put(t.Context(), key, Entry("x", 1)); !errors.Is(err, cache.ErrBadKey) {
			t.Errorf("Put(%q) = %v, want ErrBadKey", key, err)
		}
		if _, err := s.Get(t.Context(), key); !errors.Is(err, cache.ErrBadKey) {
			t.Errorf("Get(%q) = %v, want ErrBadKey", key, err)
		}
		if _, err := s.Stat(t.Context(), key); !errors.Is(err, cache.ErrBadKey) {
			t.Errorf("Stat(%q) = %v, want ErrBadKey", key, err)
		}
		if key == "" || key == "a/" { // these are prefixes
			continue
		}
		if _, err := s.Delete(t.Context(), key); !errors.Is(err, cache.ErrBadKey) {
			t.Errorf("Delete(%q) = %v, want ErrBadKey", key, err)
		}
	}
}

func badEntries(t *testing.T, s cache.Store) {
	const key = "v1/ab/hash/bad"
	for name, change := range map[string]func(*cache.Entry){
		"content type with a new line": func(e *cache.Entry) { e.ContentType = "image/webp\nx: y" },
		"ETag not ASCII":               func(e *cache.Entry) { e.ETag = "\"\u00fc\"" },
		"attribute name":               func(e *cache.Entry) { e.Attrs = map[string]string{"W": "1"} },
		"attribute value":              func(e *cache.Entry) { e.Attrs = map[string]string{"w": "1\n2"} },
		"attributes too large":         func(e *cache.Entry) { e.Attrs = map[string]string{"w": strings.Repeat("x", 1024)} },
		"body too large":               func(e *cache.Entry) { e.Body = make([]byte, cache.MaxBody+1) },
	} {
		e := Entry("bad", 10)
		change(&e)
		if err := s.Put(t.Context(), key, e); err == nil {
			t.Errorf("%s: Put = nil, want an error", name)
		}
	}
	expectMiss(t, s, key)
}

func deletePrefix(t *testing.T, s cache.Store) {
	for _, key := range []string{"v1/ab/h1/a.webp", "v1/ab/h1/b.jpg", "v1/ab/h2/a.webp", "v1/ac/h1/a.webp"} {
		put(t, s, key, Entry("d", 50))
	}
	if n, err := s.Delete(t.Context(), "v1/ab/h1/"); n != 2 || err != nil {
		t.Errorf("Delete = %d, %v, want 2", n, err)
	}
	expectMiss(t, s, "v1/ab/h1/a.webp")
	expectMiss(t, s, "v1/ab/h1/b.jpg")
	expect(t, s, "v1/ab/h2/a.webp", Entry("d", 50))
	expect(t, s, "v1/ac/h1/a.webp", Entry("d", 50))
	for _, prefix := range []string{"v1/ab/h1/", "v1/none/", "v2", "v1/ab/h2/a.webp/"} {
		if n, err := s.Delete(t.Context(), prefix); n != 0 || err != nil {
			t.Errorf("Delete(%q) = %d, %v, want 0", prefix, n, err)
		}
	}
	put(t, s, "v1/ab/h1/a.webp", Entry("again", 50))
	expect(t, s, "v1/ab/h1/a.webp", Entry("again", 50))
}

func deleteAll(t *testing.T, s cache.Store) {
	for i := range 25 {
		put(t, s, fmt.Sprintf("v%d/ab/%d/a.webp", i%3, i), Entry("d", 50))
	}
	if n, err := s.Delete(t.Context(), ""); n != 25 || err != nil {
		t.Errorf("Delete = %d, %v, want 25", n, err)
	}
	expectMiss(t, s, "v1/ab/1/a.webp")
}

func deleteWithinSegment(t *testing.T, s cache.Store) {
	for _, key := range []string{"v1/ab/h1/w480.webp", "v1/ab/h1/w480.jpg", "v1/ab/h1/w800.webp", "v1/ab/h10/w480.webp"} {
		put(t, s, key, Entry("d", 50))
	}
	if n, err := s.Delete(t.Context(), "v1/ab/h1/w4"); n != 2 || err != nil {
		t.Errorf("Delete = %d, %v, want 2", n, err)
	}
	if n, err := s.Delete(t.Context(), "v1/ab/h1"); n != 2 || err != nil {
		t.Errorf("Delete = %d, %v, want 2", n, err)
	}
}

func cancelled(t *testing.T, s cache.Store) {
	const key = "v1/ab/hash/a"
	put(t, s, key, Entry("old", 10))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Get(ctx, key); !errors.Is(err, context.Canceled) || errors.Is(err, cache.ErrMiss) {
		t.Errorf("Get = %v, want context.Canceled", err)
	}
	if _, err := s.Stat(ctx, key); !errors.Is(err, context.Canceled) || errors.Is(err, cache.ErrMiss) {
		t.Errorf("Stat = %v, want context.Canceled", err)
	}
	if err := s.Put(ctx, key, Entry("new", 10)); !errors.Is(err, context.Canceled) {
		t.Errorf("Put = %v, want context.Canceled", err)
	}
	if _, err := s.Delete(ctx, "v1/"); !errors.Is(err, context.Canceled) {
		t.Errorf("Delete = %v, want context.Canceled", err)
	}
	expect(t, s, key, Entry("old", 10))
}

// concurrent replaces one entry with bodies of different lengths while readers read: each Get must return one of them
// complete, with its own meta.
func concurrent(t *testing.T, s cache.Store) {
	const key, rounds = "v1/ab/hash/contended", 40
	entries := []cache.Entry{Entry("alpha", 30_000), Entry("beta", 3), Entry("gamma", 70_000)}
	put(t, s, key, entries[0])
	var wg sync.WaitGroup
	for _, e := range entries {
		wg.Go(func() {
			for range rounds {
				if err := s.Put(t.Context(), key, e); err != nil {
					t.Errorf("Put = %v", err)
				}
			}
		})
		wg.Go(func() {
			for range rounds {
				got, err := s.Get(t.Context(), key)
				if err != nil {
					t.Errorf("Get = %v", err)
				} else if Diff(got, entries[0]) != "" && Diff(got, entries[1]) != "" && Diff(got, entries[2]) != "" {
					t.Errorf("Get = a mix: ETag %s, %d bytes", got.ETag, len(got.Body))
				}
			}
		})
	}
	wg.Wait()
}

// concurrentDelete deletes a source while its variants are written. Every entry that is read must be complete, and a
// Put afterwards must work. A Put during the delete may fail (an S3 server on a file system can lose its directory),
// but then it must return an error.
func concurrentDelete(t *testing.T, s cache.Store) {
	var wg sync.WaitGroup
	for w := range 4 {
		key := fmt.Sprintf("v1/ab/hash/w%d", w)
		e := Entry(key[11:], 1000*w)
		wg.Go(func() {
			for range 20 {
				if err := s.Put(t.Context(), key, e); err != nil {
					t.Logf("Put = %v", err)
				}
				if got, err := s.Get(t.Context(), key); err == nil && Diff(got, e) != "" {
					t.Errorf("Get = %s", Diff(got, e))
				} else if err != nil && !errors.Is(err, cache.ErrMiss) {
					t.Errorf("Get = %v", err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			if _, err := s.Delete(t.Context(), "v1/ab/hash/"); err != nil {
				t.Errorf("Delete = %v", err)
			}
		}
	})
	wg.Wait()
	put(t, s, "v1/ab/hash/last", Entry("last", 10))
	expect(t, s, "v1/ab/hash/last", Entry("last", 10))
}
