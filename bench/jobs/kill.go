package jobs

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/bench/rig"
	"github.com/goldcrest/goldcrest/client"
	"github.com/goldcrest/goldcrest/sniff"
)

const (
	killRounds = 50
	killUnits  = 300
	killMemory = 16 << 20
)

// killVariants are made of each picture.
var killVariants = []client.Variant{{Name: "j", Options: "rs:fit:96:0/f:jpg"}, {Name: "w", Options: "rs:fit:96:0/f:webp"}}

// MeasureKill kills the server at random moments during jobs of 300 units and restarts it on the same data each time.
// At the end it counts what was lost, damaged or done twice.
func MeasureKill(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	o, err := startCounting()
	if err != nil {
		return nil, err
	}
	defer o.stop()
	r, err := b.NewRig(killMemory)
	if err != nil {
		return nil, err
	}
	k := &killing{origin: o, rig: r, before: map[string]int{}, enough: make(chan struct{})}
	if k.api, err = r.Api(); err != nil {
		return nil, err
	}
	posted := make(chan error, 1)
	posting, give := context.WithCancel(ctx)
	defer give()
	go func() { posted <- k.postJobs(posting) }()
	for range killRounds {
		if err := b.Launch(r); err != nil {
			return nil, err
		}
		time.Sleep(200*time.Millisecond + rand.N(800*time.Millisecond))
		if err := r.Process.Kill(); err != nil {
			return nil, fmt.Errorf("the server ended before it was killed: %w", err)
		}
		<-r.Done
		time.Sleep(20 * time.Millisecond) // Until the origin has counted the requests in flight.
		k.endLife()
	}
	close(k.enough)
	if err := b.Launch(r); err != nil {
		return nil, err
	}
	defer func() { r.Stop() }()
	if err := <-posted; err != nil {
		return nil, err
	}
	if err := k.readVerdicts(ctx); err != nil {
		return nil, err
	}
	k.endLife()
	r.Stop()
	if err := b.Launch(r); err != nil {
		return nil, err
	}
	if err := r.AwaitReady(ctx); err != nil {
		return nil, err
	}
	return k.rows(ctx, b)
}

// killing is the state of the jobs while their server is killed.
type killing struct {
	origin *counting
	rig    *rig.Server
	api    *client.API
	enough chan struct{} // closed after the last kill

	jobs     []client.Accepted
	verdicts []client.Verdict
	keys     map[string][]string // by source
	before   map[string]int      // fetches before the current life, by path
	lives    []killedLife
}

// killedLife is the work between two kills.
type killedLife struct {
	fetched map[string]int  // by path
	stored  map[string]bool // keys on disk at its end
}

// postJobs posts one job after another, each with retries until it is acknowledged, until the last kill.
func (k *killing) postJobs(ctx context.Context) error {
	for {
		call := client.Call{Variants: killVariants, Key: fmt.Sprint("job-", len(k.jobs))}
		for range killUnits {
			n := len(k.jobs)*killUnits + len(call.Units)
			call.Units = append(call.Units, rig.UnitOf(n, fmt.Sprintf("%s/%d.jpg", k.origin.base, n)))
		}
		a, err := k.api.Prewarm(ctx, call)
		if err != nil {
			return err
		}
		k.jobs = append(k.jobs, a)
		if _, err := k.api.Wait(ctx, a.Job, nil); err != nil {
			return err
		}
		select {
		case <-k.enough:
			return nil
		default:
		}
	}
}

// endLife records what the server did since the last call, and what is on its disk. The server must be stopped, or
// idle.
func (k *killing) endLife() {
	l := killedLife{fetched: map[string]int{}, stored: map[string]bool{}}
	for path, n := range k.origin.counts() {
		if n > k.before[path] {
			l.fetched[path], k.before[path] = n-k.before[path], n
		}
	}
	root := filepath.Join(k.rig.Dir, "store")
	_ = fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error { // An unreadable entry is not stored.
		if err == nil && d.Type().IsRegular() {
			l.stored[path] = true
		}
		return nil
	})
	k.lives = append(k.lives, l)
}

// readVerdicts reads the verdicts of all acknowledged units.
func (k *killing) readVerdicts(ctx context.Context) error {
	k.keys = map[string][]string{}
	for _, job := range k.jobs {
		for v, err := range k.api.Results(ctx, job.Job, "") {
			if err != nil {
				return err
			}
			k.verdicts = append(k.verdicts, v)
			path := v.Source[len(k.origin.base):]
			k.keys[path] = append(k.keys[path], v.Key)
		}
	}
	return nil
}

// rows sums up. The server has just been started for the last time.
func (k *killing) rows(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	fetches, inFlight, needless := k.repeated()
	acknowledged := len(k.jobs) * killUnits * len(killVariants)
	made := 0
	for _, v := range k.verdicts {
		if v.State == "made" {
			made++
		}
	}
	good, err := k.storedHits(ctx)
	if err != nil {
		return nil, err
	}
	pictures := len(k.jobs) * killUnits
	if b.Noise {
		fmt.Fprintf(os.Stderr, "  %d kills, %d jobs of %d units; %d fetches of %d pictures, %d in flight at kills, %d fetched although stored\n",
			killRounds, len(k.jobs), killUnits, fetches, pictures, inFlight, needless)
	}
	if needless > 0 {
		return nil, fmt.Errorf("%d pictures were fetched again although all their variants were stored", needless)
	}
	what := fmt.Sprintf("kill -9 x%d in jobs of %d units: ", killRounds, killUnits)
	return []rig.Row{
		{What: what + "variants with their verdict", Ours: float64(made), Reference: float64(acknowledged), Target: 1},
		{What: what + "of those, whole and hits of the store", Ours: float64(good), Reference: float64(made), Target: 1},
		{What: what + "pictures done twice, of those in flight", Ours: float64(fetches - pictures), Reference: float64(inFlight), Target: 1, AtMost: true},
	}, nil
}

// repeated counts all fetches, the fetched pictures that were not completely stored at the end of a life, and those
// that were fetched although they were completely stored.
func (k *killing) repeated() (fetches, inFlight, needless int) {
	stored := func(path string, in map[string]bool) bool {
		for _, key := range k.keys[path] {
			if !in[key] {
				return false
			}
		}
		return true
	}
	for i, l := range k.lives {
		for path, n := range l.fetched {
			fetches += n
			if !stored(path, l.stored) {
				inFlight++
			}
			if n > 1 || i > 0 && stored(path, k.lives[i-1].stored) {
				needless++
			}
		}
	}
	return fetches, inFlight, needless
}

// storedHits counts the variants that are served complete from the store; none of them may need a fetch.
func (k *killing) storedHits(ctx context.Context) (good int, err error) {
	before := k.origin.total()
	for _, v := range k.verdicts {
		options := ""
		for _, asked := range killVariants {
			if asked.Name == v.Name {
				options = asked.Options
			}
		}
		path, err := k.rig.Path(v.Source, options)
		if err != nil {
			return 0, err
		}
		body, status, err := k.rig.Ask(ctx, path)
		if err != nil {
			return 0, err
		}
		info, err := sniff.Inspect(body)
		if err == nil && info.Complete && info.Width == 96 && status == "goldcrest; hit; detail=store" {
			good++
		}
	}
	if n := k.origin.total() - before; n > 0 {
		return 0, fmt.Errorf("%d originals were fetched for variants that were said to be made", n)
	}
	return good, nil
}

// counting is an origin that answers every path with one small picture after a pause, and counts requests.
type counting struct {
	base string
	stop func()
	mu   sync.Mutex
	hits map[string]int
}

func startCounting() (*counting, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &counting{base: "http://" + l.Addr().String(), hits: map[string]int{}}
	img := image.NewRGBA(image.Rect(0, 0, 320, 240))
	for y := range 240 {
		for x := range 320 {
			img.Set(x, y, color.RGBA{uint8(x), uint8(y), uint8(x * y / 64), 255})
		}
	}
	var body bytes.Buffer
	if err := jpeg.Encode(&body, img, nil); err != nil {
		return nil, err
	}
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.hits[r.URL.Path]++
		o.mu.Unlock()
		time.Sleep(20*time.Millisecond + rand.N(180*time.Millisecond))
		w.Header().Set("Content-Type", "image/jpeg")
		_, _ = w.Write(body.Bytes()) // The client may have been killed.
	})}
	go srv.Serve(l) //nolint:errcheck // ends with Close
	o.stop = func() { _ = srv.Close() }
	return o, nil
}

func (o *counting) counts() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make(map[string]int, len(o.hits))
	for path, n := range o.hits {
		all[path] = n
	}
	return all
}

func (o *counting) total() (n int) {
	for _, hits := range o.counts() {
		n += hits
	}
	return n
}
