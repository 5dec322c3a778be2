package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

const eventsToken = "object-store-0001-0001"

// putObject uploads a file to the S3 server as a client does; with "" it deletes the object.
func putObject(t *testing.T, url, file string) {
	t.Helper()
	how := []string{"-X", "DELETE"}
	if file != "" {
		how = []string{"-T", file}
	}
	arguments := append(how, "-sS", "--fail", "--aws-sigv4", "aws:amz:us-east-1:s3",
		"--user", "test-access:test-secret-key", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-H", "Expect:", url)
	if out, err := exec.Command("curl", arguments...).CombinedOutput(); err != nil {
		t.Fatalf("curl %q: %v\n%s", arguments, err, out)
	}
}

// An object that is put into a bucket is a hit for a phone before anybody has requested it: the S3 server reports it by
// its own webhook. If it is overwritten, it is made again; if it is deleted, it is gone.
func TestBucketEvents(t *testing.T) {
	photos := filepath.Join(corpus(t), "photos")
	gateway := freePort(t)
	var fetched atomic.Int64
	dir := t.TempDir()
	objects := http.FileServer(http.Dir(filepath.Join(dir, bucket)))
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetched.Add(1)
		objects.ServeHTTP(w, r)
	}))
	t.Cleanup(o.Close)
	s := start(t, append(prewarmEnv,
		"GOLDCREST_API_TOKENS=[{name: backend, token: "+backendToken+", scopes: [prewarm, sign, explain, admin]}, "+
			"{name: store, token: "+eventsToken+", scopes: [events]}]",
		"GOLDCREST_PREWARM_BUCKETS=[{bucket: "+bucket+", prefix: products/, source: '"+o.URL+"/{key}',"+
			" variants: [small], plain_keys: true}]")...)
	webhook := "http://store:" + eventsToken + "@" + s.admin[len("http://"):] + "/v1/events/s3"
	startGateway(t, gateway, dir, "--event-webhook-url", webhook)

	const key = "products/red%20shoe%2B1.jpg"
	object, source := "http://"+gateway+"/"+bucket+"/"+key, o.URL+"/products/red%20shoe+1.jpg"
	signed := signed("pr:small", source)
	cached := func() answer { return s.get(signed, "Cache-Control", "only-if-cached") }
	hit := func(jobs int) (etag string) {
		t.Helper()
		s.lastJob(jobs)
		a := cached()
		if a.StatusCode != http.StatusOK || fetched.Load() != int64(jobs) {
			t.Fatalf("a phone gets %d, fetched %d times, want a hit, and %d", a.StatusCode, fetched.Load(), jobs)
		}
		return a.Header.Get("Etag")
	}
	putObject(t, object, filepath.Join(photos, "cardinal.jpg"))
	first := hit(1)
	putObject(t, object, filepath.Join(photos, "groceries.jpg"))
	if hit(2) == first {
		t.Error("the object was written again, and a phone gets the old one")
	}
	putObject(t, object, "")
	within(t, time.Minute, "the deleted object is gone", func() bool {
		return cached().StatusCode == http.StatusGatewayTimeout
	})
}

// lastJob waits until the given number of jobs exist, and the latest has made all of its variants.
func (s *server) lastJob(jobs int) {
	s.t.Helper()
	var list struct{ Jobs []job }
	within(s.t, time.Minute, "the event has become a job", func() bool {
		a := s.call("GET", "/v1/jobs", "")
		return json.Unmarshal(a.body, &list) == nil && len(list.Jobs) == jobs
	})
	if j := s.ended(list.Jobs[0].Job); j.State != "done" || j.Counts["made"] != 1 {
		s.t.Fatalf("the job is %+v, with %+v", j, s.verdicts(j.Job))
	}
}
