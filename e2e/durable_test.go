package e2e

import (
	"bytes"
	bits "encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The work of the tests that kill processes: units with one picture each, posted in batches, each picture in two
// formats.
const (
	workers    = 8
	batchUnits = 30
	marker     = "nobody-shall-keep-this-text" // in every unit, never on disk
)

// drawnEnv configures small pictures in two formats, a few originals at a time.
var drawnEnv = append(slices.Clone(prewarmEnv),
	`GOLDCREST_PRESETS={tiny: "rs:fit:96:0"}`, "GOLDCREST_PREWARM_PRESETS=[tiny]", "GOLDCREST_PREWARM_FORMATS=[webp, jpeg]",
	fmt.Sprint("GOLDCREST_PREWARM_WORKERS=", workers))

var drawnAccepts = map[string]string{"webp": "image/webp,*/*", "jpg": "*/*"}

// draw adds n different pictures to an origin, each served after a pause.
func (o *origin) draw(t *testing.T, n int, pause time.Duration) {
	t.Helper()
	for i := range n {
		img := image.NewRGBA(image.Rect(0, 0, 160, 120))
		for y := range 120 {
			for x := range 160 {
				img.Set(x, y, color.RGBA{uint8(x + i), uint8(y + i>>3), uint8(x * y / (i + 1)), 255})
			}
		}
		var body bytes.Buffer
		if err := jpeg.Encode(&body, img, nil); err != nil {
			t.Fatal(err)
		}
		o.on(drawnPath(i), func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(pause):
			case <-r.Context().Done():
				return
			}
			w.Header().Set("Content-Type", "image/jpeg")
			w.Write(body.Bytes())
		})
	}
}

func drawnPath(i int) string { return fmt.Sprintf("/drawn/%d.jpg", i) }

// drawnBatch is the body of a call with the nth batch of units.
func (o *origin) drawnBatch(n int) string {
	var units []string
	for i := n * batchUnits; i < (n+1)*batchUnits; i++ {
		units = append(units, fmt.Sprintf(`{"id":"du-%d","title":"%s","photo":"%s"}`, i, marker, o.URL+drawnPath(i)))
	}
	return "[" + strings.Join(units, ",") + "]"
}

// offer posts a batch once, with an idempotency key. ok: it was acknowledged.
func (s *server) offer(o *origin, n int) (a accepted, ok bool) {
	res, err := s.tryCall("POST", "/v1/prewarm", strings.NewReader(o.drawnBatch(n)), "Idempotency-Key", fmt.Sprint("batch-", n))
	if err != nil || res.StatusCode != 202 && res.StatusCode != 200 {
		return a, false
	}
	return a, json.Unmarshal(res.body, &a) == nil
}

// insist posts a batch until it is acknowledged.
func (s *server) insist(o *origin, n int) accepted {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if a, ok := s.offer(o, n); ok {
			return a
		}
	}
	s.t.Fatalf("batch %d was not acknowledged within a minute\n%s", n, s.log)
	return accepted{}
}

// settled waits for the end of a batch's job. It fails unless every variant has one good verdict and the counts match
// the verdicts. It returns the keys of each picture, and how many variants were found present instead of made.
func (s *server) settled(a accepted, n int) (keys map[int][]string, found int) {
	s.t.Helper()
	j, states, rows := s.ended(a.Job), map[string]int{}, map[string]int{}
	keys = map[int][]string{}
	for _, v := range s.verdicts(a.Job) {
		i := n*batchUnits + v.Index
		if v.ID != fmt.Sprint("du-", i) || !strings.HasSuffix(v.Source, drawnPath(i)) {
			s.t.Errorf("batch %d: got the verdict %+v", n, v)
		}
		states[v.State]++
		rows[fmt.Sprint(i, v.Format)]++
		keys[i] = append(keys[i], v.Key)
	}
	for row, times := range rows {
		if times != 1 {
			s.t.Errorf("batch %d: %s has %d verdicts", n, row, times)
		}
	}
	variants := 2 * batchUnits
	if len(rows) != variants || states["made"]+states["present"] != variants {
		s.t.Errorf("batch %d: %d of %d variants have a verdict: %v", n, len(rows), variants, states)
	}
	if c := j.Counts; j.State != "done" || c["data_units"] != batchUnits || c["images"] != batchUnits || c["variants"] != variants ||
		c["made"] != states["made"] || c["present"] != states["present"] {
		s.t.Errorf("batch %d: got %s %v for the verdicts %v", n, j.State, c, states)
	}
	return keys, states["present"]
}

// patient is for instances that are asked what is stored: a slow machine does not make them fetch it.
const patient = "GOLDCREST_CACHE_STORE_LOOKUP=10s"

// storedHits requests every variant of the answers. It fails unless all are served complete from the store, without a
// fetch or a transform.
func (s *server) storedHits(o *origin, answers []accepted) {
	s.t.Helper()
	fetched := o.total()
	for _, a := range answers {
		for _, u := range a.Units {
			for format, accept := range drawnAccepts {
				got := s.get(urlPath(s.t, u.Images[0].Variants[0].URL), "Accept", accept)
				if got.StatusCode != 200 || got.Header.Get("Cache-Status") != "goldcrest; hit; detail=store" || !whole(got.body, format) {
					s.t.Errorf("%s as %s: got %d, %s, %d bytes of %s", u.ID, format, got.StatusCode, got.Header.Get("Cache-Status"), len(got.body), got.Header.Get("Content-Type"))
				}
			}
		}
	}
	if transforms := s.metric("goldcrest_transforms_total"); o.total() != fetched || transforms != 0 {
		s.t.Errorf("the hits took %d fetches and %v transforms", o.total()-fetched, transforms)
	}
}

// whole reports whether a picture is complete.
func whole(body []byte, format string) bool {
	if format == "webp" {
		return len(body) > 12 && string(body[:4]) == "RIFF" && string(body[8:12]) == "WEBP" &&
			len(body) == 8+int(bits.LittleEndian.Uint32(body[4:]))
	}
	_, err := jpeg.Decode(bytes.NewReader(body))
	return err == nil
}

// files lists a folder's files by their paths in it.
func files(dir string) map[string]bool {
	all := map[string]bool{}
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if name, ok := strings.CutPrefix(path, dir+"/"); err == nil && ok && d.Type().IsRegular() {
			all[name] = true
		}
		return nil
	})
	return all
}

// life is the work between the start of a server and its kill.
type life struct {
	fetched    map[int]int     // by picture
	stored     map[string]bool // keys on disk at its end
	transforms float64         // counted just before its end
}

// census counts fetches by life.
type census struct {
	o      *origin
	n      int // pictures
	before map[int]int
	lives  []life
}

func (c *census) end(dir string, transforms float64) {
	l := life{fetched: map[int]int{}, stored: files(filepath.Join(dir, "store")), transforms: transforms}
	for i := range c.n {
		if now := c.o.count(drawnPath(i)); now > c.before[i] {
			l.fetched[i], c.before[i] = now-c.before[i], now
		}
	}
	c.lives = append(c.lives, l)
}

// judge fails unless work that was done twice was in flight at a kill: a picture is fetched once in a life, and never
// again once all of its variants are stored. No more pictures than there are workers may have been in flight.
func (c *census) judge(t *testing.T, keys map[int][]string) {
	t.Helper()
	var fetches, inFlight int
	var transforms float64
	for n, l := range c.lives {
		cut := 0
		for i, times := range l.fetched {
			fetches += times
			if times != 1 {
				t.Errorf("life %d: picture %d was fetched %d times", n, i, times)
			}
			if n > 0 && done(keys[i], c.lives[n-1].stored) {
				t.Errorf("life %d: picture %d was fetched although it was stored", n, i)
			}
			if !done(keys[i], l.stored) {
				cut++
			}
		}
		if cut > workers {
			t.Errorf("life %d: %d pictures were in flight at its end, with %d workers", n, cut, workers)
		}
		t.Logf("life %d: %d fetches, %v transforms, %d in flight at its end, %d files stored", n, len(l.fetched), l.transforms, cut, len(l.stored))
		inFlight += cut
		transforms += l.transforms
	}
	t.Logf("%d pictures: %d fetches, at least %v transforms, %d in flight at kills", c.n, fetches, transforms, inFlight)
	if twice := fetches - c.n; twice > inFlight || transforms > float64(fetches) {
		t.Errorf("%d fetches and %v transforms of %d pictures, with %d in flight at kills", fetches, transforms, c.n, inFlight)
	}
}

func done(keys []string, stored map[string]bool) bool {
	return !slices.ContainsFunc(keys, func(k string) bool { return !stored[k] })
}

// A server can be killed at any moment. After the restart every acknowledged unit gets its verdict, every variant
// reported as made is stored, and only work that was in flight is repeated.
func TestFault16KillDuringPrewarm(t *testing.T) {
	const batches, kills = 10, 6
	o, dir := startOrigin(t), t.TempDir()
	o.draw(t, batches*batchUnits, 80*time.Millisecond)
	c := &census{o: o, n: batches * batchUnits, before: map[int]int{}}
	answers := make([]accepted, batches)
	acknowledged := make([]bool, batches)
	for k := range kills {
		s := startIn(t, dir, drawnEnv...)
		posted := make(chan struct{})
		go func() {
			defer close(posted)
			for n := range min(batches, 2*(k+1)) {
				if !acknowledged[n] {
					answers[n], acknowledged[n] = s.offer(o, n)
				}
			}
		}()
		time.Sleep(50*time.Millisecond + rand.N(750*time.Millisecond))
		transforms := s.metric("goldcrest_transforms_total")
		s.kill()
		<-posted
		time.Sleep(20 * time.Millisecond) // Until the origin has counted the requests in flight.
		c.end(dir, transforms)
	}
	s := startIn(t, dir, drawnEnv...)
	for n := range batches {
		if a := s.insist(o, n); acknowledged[n] && a.Job != answers[n].Job {
			t.Errorf("batch %d: the acknowledged job %s became %s", n, answers[n].Job, a.Job)
		} else {
			answers[n] = a
		}
	}
	keys := map[int][]string{}
	for n, a := range answers {
		some, found := s.settled(a, n)
		maps.Copy(keys, some)
		if found > 0 {
			t.Errorf("batch %d: %d variants of its own were taken for somebody else's", n, found)
		}
	}
	c.end(dir, s.metric("goldcrest_transforms_total"))
	s.stop()
	c.judge(t, keys)
	noText(t, filepath.Join(dir, "queue"))
	startIn(t, dir, append(drawnEnv, patient)...).storedHits(o, answers)
}

// noText fails if a unit's text is in a file of the queue.
func noText(t *testing.T, dir string) {
	t.Helper()
	all := files(dir)
	if len(all) == 0 {
		t.Error("the queue has no files in " + dir)
	}
	for name := range all {
		body, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		if bytes.Contains(body, []byte(marker)) {
			t.Errorf("%s holds the text of a unit", name)
		}
	}
}
