package s3store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/goldcrest/goldcrest/cache"
)

func openSink(t *testing.T, cfg Config) (*Sink, *counter) {
	t.Helper()
	isolate(t)
	obs := &counter{n: map[string]int{}}
	s, err := OpenSink(t.Context(), cfg, obs)
	if err != nil {
		t.Fatal(err)
	}
	return s, obs
}

// sinkKeys are what other programs have called their objects.
var sinkKeys = []string{"a.jpg", "2017/shoes/red shoe+1.jpg", "ünï/日本.jpg", "a//b", "100%25.jpg", "q?x=1#y.jpg", "a.jpg.broken"}

func TestSinkPutsExactly(t *testing.T) {
	f, cfg := newFake(t)
	cfg.Bucket = "" // A sink needs no store.
	s, obs := openSink(t, cfg)
	for _, key := range sinkKeys {
		if err := s.Put(t.Context(), "old", key, []byte("picture"), "image/jpeg"); err != nil {
			t.Fatal(err)
		}
		o, ok := f.objects["/old/"+key]
		if !ok || string(o.body) != "picture" {
			t.Errorf("%q: stored %v %q; all: %v", key, ok, o.body, f.objects)
			continue
		}
		if got := o.header.Get("Content-Type") + "|" + o.header.Get("Cache-Control"); got != "image/jpeg|"+cacheControl {
			t.Errorf("%q: headers %q", key, got)
		}
	}
	if err := s.Put(t.Context(), "old", "a.jpg.broken", nil, "application/octet-stream"); err != nil {
		t.Fatal(err)
	}
	if o := f.objects["/old/a.jpg.broken"]; len(o.body) != 0 || o.header.Get("Cache-Control") != markerControl {
		t.Errorf("marker: %q %v", o.body, o.header)
	}
	obs.expect(t, "sink ok", len(sinkKeys)+1)
}

func TestSinkFails(t *testing.T) {
	f, cfg := newFake(t)
	s, obs := openSink(t, cfg)
	tests := []struct {
		status int
		code   string
		want   string
	}{
		{403, "AccessDenied", "s3:PutObject is missing"},
		{404, "NoSuchBucket", "there is no bucket"},
		{301, "PermanentRedirect", "another region"},
		{503, "SlowDown", "cannot write"},
	}
	for _, tt := range tests {
		f.before = func(w http.ResponseWriter, r *http.Request) bool { refuse(w, r, tt.status, tt.code); return true }
		err := s.Put(t.Context(), "old", "a.jpg", []byte("x"), "image/jpeg")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%d: %v, want %q", tt.status, err, tt.want)
		}
	}
	obs.expect(t, "sink error", len(tests))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, "old", "a.jpg", []byte("x"), "image/jpeg"); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	for _, name := range [][2]string{{"", "a"}, {"old", ""}} {
		if s.Put(t.Context(), name[0], name[1], nil, "") == nil {
			t.Errorf("%q is taken", name)
		}
	}
	if _, err := OpenSink(t.Context(), Config{}, nil); err == nil {
		t.Error("a config that cannot work is taken")
	}
}

func TestSinkOnServer(t *testing.T) {
	cfg := startServer(t)
	s, _ := openSink(t, cfg)
	old := "predecessor"
	if _, err := s.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &old}); err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("x"), cache.MaxBody/8)
	for _, key := range []string{"2017/red shoe+1.jpg", "ünï/日本.jpg", "100%25.jpg", "2017/red shoe+1.jpg"} {
		if err := s.Put(t.Context(), old, key, body, "image/jpeg"); err != nil {
			t.Fatalf("%q: %v", key, err)
		}
		out, err := s.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &old, Key: &key})
		if err != nil {
			t.Fatalf("%q: %v", key, err)
		}
		got, err := io.ReadAll(out.Body)
		_ = out.Body.Close()
		if err != nil || !bytes.Equal(got, body) || *out.ContentType != "image/jpeg" || *out.CacheControl != cacheControl {
			t.Errorf("%q: %d bytes, %v, %s, %s", key, len(got), err, *out.ContentType, *out.CacheControl)
		}
	}
	if err := s.Put(t.Context(), old, "x.broken", nil, "application/octet-stream"); err != nil {
		t.Errorf("marker: %v", err)
	}
	if err := s.Put(t.Context(), "absent", "x", nil, ""); err == nil || !strings.Contains(err.Error(), "no bucket") {
		t.Errorf("Put = %v, want that there is no such bucket", err)
	}
}
