package e2e

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// plain is a picture of one colour.
func plain(t *testing.T, c color.Color) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 64, 48))
	draw.Draw(img, img.Bounds(), image.NewUniform(c), image.Point{}, draw.Src)
	var body bytes.Buffer
	if err := jpeg.Encode(&body, img, nil); err != nil {
		t.Fatal(err)
	}
	return body.Bytes()
}

// changingPictures are pictures of the origin, served slowly, that are red until they change, and then blue.
func changingPictures(t *testing.T, o *origin, n int) (paths []string, changed []atomic.Bool) {
	old, fresh := plain(t, color.RGBA{200, 0, 0, 255}), plain(t, color.RGBA{0, 0, 200, 255})
	changed = make([]atomic.Bool, n)
	for i := range n {
		path := fmt.Sprintf("/law/%d.jpg", i)
		o.on(path, func(w http.ResponseWriter, _ *http.Request) {
			body := old
			if changed[i].Load() {
				body = fresh
			}
			time.Sleep(rand.N(60 * time.Millisecond))
			w.Header().Set("Content-Type", "image/jpeg")
			w.Write(body)
		})
		paths = append(paths, path)
	}
	return paths, changed
}

// Two instances share a slow bucket and a cluster. While both get requests for pictures all the time, each picture
// changes and is purged on one of them. From the response to the purge on, the old picture is never served again.
func TestFault40PurgeOnTwoInstances(t *testing.T) {
	const sources = 40
	b, peers, o := startS3(t), startNats(t), startOrigin(t)
	b.proxy.slow.Store(int64(45 * time.Millisecond))
	env := append(append(b.env(), prewarmEnv...), "GOLDCREST_PREWARM_QUEUE_NATS="+natsURL(peers))
	instances := []*server{start(t, env...), start(t, env...)}
	paths, changed := changingPictures(t, o, sources)
	isOld := func(s *server, i int) bool {
		a := s.get(signed("w:32/f:jpg", o.URL+paths[i]))
		img, err := jpeg.Decode(bytes.NewReader(a.body))
		if a.StatusCode != 200 || err != nil {
			t.Errorf("%s: got %d, %v", paths[i], a.StatusCode, err)
			return false
		}
		red, _, blue, _ := img.At(16, 12).RGBA()
		return red > blue
	}
	purged := make([]atomic.Bool, sources)
	stop := make(chan struct{})
	var viewing sync.WaitGroup
	var views, bad atomic.Int64
	for n := range 4 {
		viewing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				i := rand.N(sources)
				after := purged[i].Load()
				views.Add(1)
				if isOld(instances[n%2], i) && after {
					bad.Add(1)
				}
			}
		})
	}
	refused := 0
	for i := range sources {
		isOld(instances[0], i)
		changed[i].Store(true)
		within(t, 30*time.Second, "the purge is taken", func() bool {
			a := instances[i%2].call("POST", "/v1/purge", `{"source":"`+o.URL+paths[i]+`"}`)
			if a.StatusCode != 200 {
				refused++
			}
			return a.StatusCode == 200
		})
		purged[i].Store(true)
		for _, s := range instances {
			if isOld(s, i) {
				t.Errorf("%s is old after its purge had answered", paths[i])
			}
		}
	}
	time.Sleep(3 * time.Second) // Writes in flight have arrived.
	close(stop)
	viewing.Wait()
	instances = append(instances, start(t, env...))
	for i := range sources {
		for _, s := range instances {
			if isOld(s, i) {
				t.Errorf("%s is old again", paths[i])
			}
		}
	}
	if bad.Load() > 0 || refused > 3 {
		t.Errorf("%d of %d views were old, %d purges refused", bad.Load(), views.Load(), refused)
	}
	t.Logf("%d views, %d old, %d purges refused", views.Load(), bad.Load(), refused)
}

// The bucket refuses all writes until each picture was tried once; then it is healthy. Every variant reported as made
// or present must be in the store.
func TestFault39VerdictsAreTheStoresWord(t *testing.T) {
	b, o := startS3(t), startOrigin(t)
	o.draw(t, 2*batchUnits, 20*time.Millisecond)
	env := append(b.env(), drawnEnv...)
	s := start(t, env...)
	b.proxy.fail(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) })
	answers := []accepted{s.insist(o, 0)}
	if j := s.ended(answers[0].Job); j.State != "failed" || j.Counts["failed"] != 2*batchUnits {
		t.Errorf("without the bucket: %s %v", j.State, j.Counts)
	}
	puts := b.proxy.puts.Load()
	b.proxy.fail(nil)
	if a := s.call("POST", "/v1/jobs/"+answers[0].Job+"/retry", ""); a.StatusCode != 202 {
		t.Fatalf("retry: %d %s", a.StatusCode, a.body)
	}
	answers = append(answers, s.insist(o, 1))
	for n, a := range answers {
		s.settled(a, n)
	}
	if n := b.proxy.puts.Load() - puts; n < 4*batchUnits {
		t.Errorf("%d writes for %d variants", n, 4*batchUnits)
	}
	start(t, append(env, patient)...).storedHits(o, answers)
}
