// Package hits measures variants that are in memory: against a bare net/http handler and nginx, while every core
// encodes, and as the first answer after a start.
package hits

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/goldcrest/goldcrest/bench/rig"
)

const (
	HitConnections = 64        // connections that request hits
	hitPictures    = 64        // different URLs, so that neither side serves from the processor's cache alone
	hitBytes       = 30 * 1000 // size of each body
	hitOptions     = "rs:fit:%d:0/cb:%d"
)

// Views are counted without any effect while hits are measured, or they are not counted.
const (
	countingOnly = "GOLDCREST_QUALITY_PRICE_GB=0"
	countingOff  = "GOLDCREST_QUALITY_HOT=off"
)

// Measure compares memory hits of the proxy with a bare net/http handler that serves the same bodies from a map,
// with nginx that has them as files, and with the proxy without counting of views.
func Measure(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	t, err := startHits(ctx, b)
	if err != nil {
		return nil, err
	}
	defer t.stop()
	ours := Side{name: "ours", Addr: t.rig.Addr, Pid: t.rig.Process.Pid, Requests: t.requests}
	bare := Side{name: "bare", Addr: t.bareAddr, Pid: t.bare.Process.Pid, Requests: t.requests}
	uncounted, err := startUncounted(ctx, b)
	if err != nil {
		return nil, err
	}
	defer uncounted.stop()
	off := Side{name: "uncounted", Addr: uncounted.rig.Addr, Pid: uncounted.rig.Process.Pid, Requests: uncounted.requests}
	sides := []*Side{&ours, &bare, &off}
	nginx := Side{name: "nginx"}
	p, addr, requests, err := b.StartNginx(ctx, t.bodies, t.contentType)
	switch {
	case err == nil:
		defer p.Stop()
		nginx.Addr, nginx.Pid, nginx.Requests = addr, p.Process.Pid, requests
		sides = append(sides, &nginx)
	case errors.Is(err, rig.ErrSkipped):
		fmt.Fprintf(os.Stderr, "  the comparison with nginx is %v\n", err)
	default:
		return nil, err
	}
	for range b.Rounds {
		for _, s := range sides {
			if err := s.Round(b.Round); err != nil {
				return nil, err
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if b.Noise {
				fmt.Fprintf(os.Stderr, "  %s %.0f/s %.1f us", s.name, rig.Last(s.rates), rig.Last(s.Costs))
			}
		}
		if b.Noise {
			fmt.Fprintln(os.Stderr)
		}
	}
	rows := []rig.Row{
		{What: "hit, 30 KB, c=64: requests", Ours: rig.Median(ours.rates), Reference: rig.Median(bare.rates), Unit: "1/s", Target: 0.83},
		{What: "hit, 30 KB, c=64: CPU a request", Ours: rig.Median(ours.Costs), Reference: rig.Median(bare.Costs), Unit: "us", Target: 1.25, AtMost: true},
		{What: "hit, views counted or not: CPU a request", Ours: rig.Median(ours.Costs), Reference: rig.Median(off.Costs), Unit: "us"},
	}
	if len(nginx.rates) > 0 {
		rows = append(rows,
			rig.Row{What: "hit, 30 KB, c=64: requests, against nginx with files", Ours: rig.Median(ours.rates), Reference: rig.Median(nginx.rates), Unit: "1/s"},
			rig.Row{What: "hit, 30 KB, c=64: CPU a request, against nginx with files", Ours: rig.Median(ours.Costs), Reference: rig.Median(nginx.Costs), Unit: "us"})
	}
	return rows, nil
}

// Side is one of the compared servers.
type Side struct {
	name     string
	Addr     string
	Pid      int
	Requests [][]byte
	rates    []float64 // responses per second, by round
	Costs    []float64 // microseconds of the server's processor time per response, by round
}

// Round requests hits for a time and notes their rate and cost.
func (s *Side) Round(d time.Duration) error {
	before, began := rig.FamilyCPU(s.Pid), time.Now()
	n, err := rig.ClosedLoop(s.Addr, s.Requests, HitConnections, d)
	if err != nil {
		return err
	}
	took := time.Since(began)
	cpu := rig.FamilyCPU(s.Pid) - before
	s.rates = append(s.rates, float64(n)/took.Seconds())
	s.Costs = append(s.Costs, float64(cpu.Microseconds())/float64(n))
	return nil
}

// hits is a proxy with warm pictures, and a bare handler with the same pictures.
type hits struct {
	rig         *rig.Server
	bare        *rig.Proc
	bareAddr    string
	bareArgs    []string // its program and arguments
	requests    [][]byte
	bodies      [][]byte
	contentType string
	stop        func()
}

func startHits(ctx context.Context, b *rig.Bench) (*hits, error) {
	r, err := b.StartServer(ctx, rig.MemoryTier, countingOnly)
	if err != nil {
		return nil, err
	}
	t := &hits{rig: r, stop: r.Stop}
	paths, bodies, contentType, err := Warm(ctx, r)
	if err == nil {
		t.bodies, t.contentType = bodies, contentType
		err = t.startBare(ctx, b, paths, bodies, contentType)
	}
	if err != nil {
		r.Stop()
		return nil, err
	}
	t.stop = func() { t.bare.Stop(); r.Stop() }
	for _, path := range paths {
		t.requests = append(t.requests, rig.RawRequest(path))
	}
	return t, nil
}

// startUncounted starts a proxy with warm pictures that does not count views.
func startUncounted(ctx context.Context, b *rig.Bench) (*hits, error) {
	r, err := b.StartServer(ctx, rig.MemoryTier, countingOff)
	if err != nil {
		return nil, err
	}
	t := &hits{rig: r, stop: r.Stop}
	paths, _, _, err := Warm(ctx, r)
	if err != nil {
		r.Stop()
		return nil, err
	}
	for _, path := range paths {
		t.requests = append(t.requests, rig.RawRequest(path))
	}
	return t, nil
}

// Warm fills the memory tier with pictures of about hitBytes. Each is requested twice, and again in its final stage.
func Warm(ctx context.Context, r *rig.Server) (paths []string, bodies [][]byte, contentType string, err error) {
	origin, stopOrigin, err := rig.ServeOrigin(map[string][]byte{"a.jpg": rig.DrawPicture()})
	if err != nil {
		return nil, nil, "", err
	}
	defer stopOrigin()
	width, err := widthFor(ctx, r, origin+"/a.jpg")
	if err != nil {
		return nil, nil, "", err
	}
	for i := range hitPictures {
		path, err := r.Path(origin+"/a.jpg", fmt.Sprintf(cmp.Or(r.Warmed, hitOptions), width, i))
		if err != nil {
			return nil, nil, "", err
		}
		for range 2 {
			if _, _, err = r.Get(ctx, path, rig.BrowserAccept); err != nil {
				return nil, nil, "", err
			}
		}
		paths = append(paths, path)
	}
	if err := awaitUpgrades(ctx, r); err != nil {
		return nil, nil, "", err
	}
	for _, path := range paths {
		var body []byte
		if body, contentType, err = r.Get(ctx, path, rig.BrowserAccept); err != nil {
			return nil, nil, "", err
		}
		bodies = append(bodies, body)
	}
	return paths, bodies, contentType, nil
}

// awaitUpgrades waits until the variants that were requested twice are final.
func awaitUpgrades(ctx context.Context, r *rig.Server) error {
	for {
		n, err := r.Metric(ctx, "goldcrest_upgrades_pending")
		if err != nil || n == 0 {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// widthFor finds the width at which a variant has about hitBytes.
func widthFor(ctx context.Context, r *rig.Server, source string) (int, error) {
	low, high := 16, 1200
	for high-low > 1 {
		width := (low + high) / 2
		path, err := r.Path(source, fmt.Sprintf(cmp.Or(r.Warmed, hitOptions), width, 0))
		if err != nil {
			return 0, err
		}
		body, _, err := r.Get(ctx, path, rig.BrowserAccept)
		if err != nil {
			return 0, err
		}
		if len(body) < hitBytes {
			low = width
		} else {
			high = width
		}
	}
	return high, nil
}

// BareArgument runs this program as the bare handler, with the bodies of a file.
const BareArgument = "bare-handler"

// bareContent is the input of the bare handler.
type bareContent struct {
	Addr, ContentType string
	Bodies            map[string][]byte
}

// startBare runs the bare handler in a separate process.
func (t *hits) startBare(ctx context.Context, b *rig.Bench, paths []string, bodies [][]byte, contentType string) error {
	addr, _, err := rig.FreeAddrs()
	if err != nil {
		return err
	}
	content := bareContent{Addr: addr, ContentType: contentType, Bodies: map[string][]byte{}}
	for i, path := range paths {
		content.Bodies[path] = bodies[i]
	}
	text, err := json.Marshal(content)
	if err != nil {
		return err
	}
	file := filepath.Join(b.Work, "bare.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	t.bareAddr, t.bareArgs = addr, []string{self, BareArgument, file}
	if t.bare, err = rig.Start(self, BareArgument, file); err != nil {
		return err
	}
	return rig.AwaitReady(ctx, t.bare, "http://"+addr+paths[0])
}

// ServeBare is the reference: the cost of net/http with nothing behind it.
func ServeBare(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var content bareContent
	if err := json.Unmarshal(text, &content); err != nil {
		return err
	}
	l, err := net.Listen("tcp", content.Addr)
	if err != nil {
		return err
	}
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := content.Bodies[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", content.ContentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body) // The client may have left.
	}))
}
