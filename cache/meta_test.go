package cache_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/cache/cachetest"
)

// TestFault14AnyChangedByte flips each bit and cuts at each byte: no other text than what was written is read.
func TestFault14AnyChangedByte(t *testing.T) {
	const key = "v1/ab/hash/w480.webp"
	e := cachetest.Entry("one", 64)
	meta := (cache.Seal{}).MarshalMeta(key, e)
	got, err := (cache.Seal{}).Unmarshal(key, meta, e.Body)
	if err != nil || cachetest.Diff(got, e) != "" {
		t.Fatalf("Unmarshal = %v, %s", err, cachetest.Diff(got, e))
	}
	refused := func(what, key string, meta, body []byte) {
		t.Helper()
		if _, err := (cache.Seal{}).Unmarshal(key, meta, body); !errors.Is(err, cache.ErrChecksum) {
			t.Errorf("%s: %v, want ErrChecksum", what, err)
		}
	}
	for i := range meta {
		for bit := range 8 {
			changed := bytes.Clone(meta)
			changed[i] ^= 1 << bit
			refused("flipped meta", key, changed, e.Body)
		}
		refused("cut meta", key, meta[:i], e.Body)
	}
	for i := range e.Body {
		changed := bytes.Clone(e.Body)
		changed[i] ^= 1
		refused("flipped body", key, meta, changed)
		refused("cut body", key, meta, e.Body[:i])
	}
	refused("another key", "v1/ab/hash/w800.webp", meta, e.Body)
	refused("longer body", key, meta, append(bytes.Clone(e.Body), 0))
}

func TestMetaFitsS3(t *testing.T) {
	e := cache.Entry{Body: make([]byte, cache.MaxBody)}
	e.ContentType, e.ETag = strings.Repeat("c", 100), strings.Repeat("e", 100)
	e.Recipe = -1 << 63
	e.Created = e.Created.AddDate(-1_000_000, 0, 0)
	e.Attrs = map[string]string{}
	for c := range 10 * 25 {
		e.Attrs[string([]byte{'0' + byte(c/25), 'a' + byte(c%25)})] = ""
		if _, err := cache.Check("k", e); err != nil {
			delete(e.Attrs, string([]byte{'0' + byte(c/25), 'a' + byte(c%25)}))
			break
		}
	}
	e, err := cache.Check("k", e)
	if err != nil {
		t.Fatal(err)
	}
	meta := (cache.Seal{}).MarshalMeta("k", e)
	if len(meta) > cache.MaxMeta {
		t.Errorf("%d bytes, over MaxMeta", len(meta))
	}
	if n := base64.RawStdEncoding.EncodedLen(cache.MaxMeta) + len("goldcrest"); n > 2048 {
		t.Errorf("%d bytes of user metadata, S3 takes 2048", n)
	}
	if m, err := (cache.Seal{}).UnmarshalMeta("k", meta); err != nil || m.Recipe != e.Recipe || !m.Created.Equal(e.Created) {
		t.Errorf("UnmarshalMeta = %+v, %v", m, err)
	}
}

func FuzzUnmarshalMeta(f *testing.F) {
	e := cachetest.Entry("one", 64)
	f.Add("v1/k", (cache.Seal{}).MarshalMeta("v1/k", e))
	f.Add("", []byte("goldcrest 1\n\n\n0 0 0\n\n"))
	f.Fuzz(func(t *testing.T, key string, b []byte) {
		m, err := (cache.Seal{}).UnmarshalMeta(key, b)
		if err != nil && !errors.Is(err, cache.ErrChecksum) {
			t.Errorf("UnmarshalMeta = %v", err)
		}
		if err == nil && m.Size < 0 {
			t.Errorf("a size of %d", m.Size)
		}
	})
}

func FuzzCheckKey(f *testing.F) {
	for _, key := range []string{"v1/ab/hash/w480.webp", "", "a//b", "../a", "a/", "\x00"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if cache.CheckKey(key) != nil {
			return
		}
		if strings.HasPrefix(key, "/") || strings.Contains("/"+key+"/", "/../") || len(key) > 512 {
			t.Errorf("%q passes", key)
		}
		e := cachetest.Entry("x", 3)
		if got, err := (cache.Seal{}).Unmarshal(key, (cache.Seal{}).MarshalMeta(key, e), e.Body); err != nil || cachetest.Diff(got, e) != "" {
			t.Errorf("%q: %v", key, err)
		}
	})
}
