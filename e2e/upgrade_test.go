package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// older is the build that GOLDCREST_PREVIOUS names. These tests are for releases: tests of packages read the records
// and entries that an older version has left.
func older(t *testing.T) string {
	t.Helper()
	if previous == "" {
		t.Skip("set GOLDCREST_PREVIOUS to a build of another version")
	}
	return previous
}

// version starts a build on a data folder.
func version(t *testing.T, program, dir string, env ...string) *server {
	t.Helper()
	return startCommand(t, dir, []string{program}, env...)
}

// An instance with a store and a queue of its own is upgraded in the middle of its jobs, and goes back to the previous
// version. Every variant has one verdict, what is stored is served, and nothing stored is fetched again.
func TestUpgradeInPlace(t *testing.T) {
	old := older(t)
	const batches = 6
	o, dir := startOrigin(t), t.TempDir()
	o.draw(t, batches*batchUnits, 60*time.Millisecond)
	var answers []accepted
	for n, program := range []string{old, binary, old, binary} {
		s := version(t, program, dir, drawnEnv...)
		if n < batches/2 {
			answers = append(answers, s.insist(o, 2*n), s.insist(o, 2*n+1))
		}
		before := o.total()
		within(t, 60e9, "work went on", func() bool {
			return o.total() > before+batchUnits/2 || s.metric("goldcrest_prewarm_queue_waiting") == 0
		})
		if n == 3 {
			for n, a := range answers {
				s.settled(a, n)
			}
		}
		s.stop()
	}
	for _, program := range []string{old, binary} {
		s := version(t, program, dir, drawnEnv...)
		s.keptHits(answers)
		for _, a := range answers {
			if j := s.ended(a.Job); j.State != "done" || j.Counts["made"]+j.Counts["present"] != 2*batchUnits {
				t.Errorf("%s says %+v", program, j)
			}
		}
		s.stop()
	}
	if n := o.total(); n > 2*batches*batchUnits { // Another recipe makes what is asked for once more.
		t.Errorf("%d pictures were fetched %d times", batches*batchUnits, n)
	}
}

// keptHits requests every variant of the answers, and fails unless the store has it.
func (s *server) keptHits(answers []accepted) {
	s.t.Helper()
	for _, a := range answers {
		for _, u := range a.Units {
			for format, accept := range drawnAccepts {
				got := s.get(urlPath(s.t, u.Images[0].Variants[0].URL), "Accept", accept)
				status := got.Header.Get("Cache-Status")
				if got.StatusCode != 200 || !strings.HasPrefix(status, "goldcrest; hit") || !whole(got.body, format) {
					s.t.Errorf("%s as %s: got %d, %s, %d bytes", u.ID, format, got.StatusCode, status, len(got.body))
				}
			}
		}
	}
}

// Instances that share a bucket and NATS are replaced by another version one after the other, and back, under requests
// and jobs. No request fails, and every job ends.
func TestUpgradeRolling(t *testing.T) {
	old := older(t)
	const batches = 12 // three for each change of an instance
	bucket, peers, o := startS3(t), startNats(t), startOrigin(t)
	o.draw(t, batches*batchUnits, 60*time.Millisecond)
	env := slices.Concat(bucket.env(), drawnEnv, []string{"GOLDCREST_PREWARM_QUEUE_NATS=" + natsURL(peers)})
	paths := make([]string, 20)
	for i := range paths {
		paths[i] = signed(fmt.Sprintf("w:%d", 60+i), o.URL+"/photos/groceries.jpg")
	}
	a, b := version(t, old, t.TempDir(), env...), version(t, old, t.TempDir(), env...)
	front := &balancer{}
	front.set(a, b)
	var asked atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	halt := sync.OnceFunc(func() { close(stop); wg.Wait() })
	defer halt()
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Millisecond):
				}
				n := asked.Add(1)
				got, err := request("GET", front.pick()+paths[int(n)%len(paths)], "Accept", "image/avif,image/webp,*/*")
				if err != nil || got.StatusCode != 200 || len(got.body) == 0 {
					t.Errorf("request %d: %v %v", n, got.Response, err)
					return
				}
			}
		})
	}
	var answers []accepted
	for n, program := range []string{binary, binary, old, binary} {
		for range 3 {
			answers = append(answers, []*server{a, b}[len(answers)%2].insist(o, len(answers)))
		}
		next := version(t, program, t.TempDir(), env...)
		leaving, staying := a, b
		if n%2 == 1 {
			leaving, staying = b, a
		}
		front.set(staying, next)
		time.Sleep(300 * time.Millisecond)
		leaving.stop()
		if n%2 == 0 {
			a = next
		} else {
			b = next
		}
	}
	for n, answered := range answers {
		a.settled(answered, n)
		if here, there := a.ended(answered.Job), b.ended(answered.Job); fmt.Sprint(here) != fmt.Sprint(there) {
			t.Errorf("batch %d: one says %v, the other %v", n, here, there)
		}
	}
	halt()
	twice := 0
	for i := range batches * batchUnits {
		twice += o.count(drawnPath(i)) - 1
	}
	t.Logf("%d requests, %d pictures fetched again, the photo %d times",
		asked.Load(), twice, o.count("/photos/groceries.jpg"))
	for _, s := range []*server{a, b} {
		if n := s.metric("goldcrest_errors_total", `kind="internal"`); n != 0 {
			t.Errorf("%v internal errors\n%s", n, s.log)
		}
	}
	for _, program := range []string{old, binary} {
		version(t, program, t.TempDir(), env...).keptHits(answers)
	}
}
