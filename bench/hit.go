package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const (
	hitConnections = 64
	hitPictures    = 64        // different URLs, so that neither side serves from the processor's cache alone
	hitBytes       = 30 * 1000 // size of each body
	hitOptions     = "rs:fit:%d:0/cb:%d"
)

// Views are counted without any effect while hits are measured, or they are not counted.
const (
	countingOnly = "GOLDCREST_QUALITY_PRICE_GB=0"
	countingOff  = "GOLDCREST_QUALITY_HOT=off"
)

// measureHits compares memory hits of the proxy with a bare net/http handler that serves the same bodies from a map,
// with nginx that has them as files, and with the proxy without counting of views.
func measureHits(ctx context.Context, b *bench) ([]row, error) {
	t, err := b.startHits(ctx)
	if err != nil {
		return nil, err
	}
	defer t.stop()
	ours := side{name: "ours", addr: t.rig.addr, pid: t.rig.Process.Pid, requests: t.requests}
	bare := side{name: "bare", addr: t.bareAddr, pid: t.bare.Process.Pid, requests: t.requests}
	uncounted, err := b.startUncounted(ctx)
	if err != nil {
		return nil, err
	}
	defer uncounted.stop()
	off := side{name: "uncounted", addr: uncounted.rig.addr, pid: uncounted.rig.Process.Pid, requests: uncounted.requests}
	sides := []*side{&ours, &bare, &off}
	nginx := side{name: "nginx"}
	p, addr, requests, err := b.startNginx(ctx, t.bodies, t.contentType)
	switch {
	case err == nil:
		defer p.stop()
		nginx.addr, nginx.pid, nginx.requests = addr, p.Process.Pid, requests
		sides = append(sides, &nginx)
	case errors.Is(err, errSkipped):
		fmt.Fprintf(os.Stderr, "  the comparison with nginx is %v\n", err)
	default:
		return nil, err
	}
	for range b.rounds {
		for _, s := range sides {
			if err := s.round(b.round); err != nil {
				return nil, err
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if b.noise {
				fmt.Fprintf(os.Stderr, "  %s %.0f/s %.1f us", s.name, last(s.rates), last(s.costs))
			}
		}
		if b.noise {
			fmt.Fprintln(os.Stderr)
		}
	}
	rows := []row{
		{what: "hit, 30 KB, c=64: requests", ours: median(ours.rates), reference: median(bare.rates), unit: "1/s", target: 0.83},
		{what: "hit, 30 KB, c=64: CPU a request", ours: median(ours.costs), reference: median(bare.costs), unit: "us", target: 1.25, atMost: true},
		{what: "hit, views counted or not: CPU a request", ours: median(ours.costs), reference: median(off.costs), unit: "us"},
	}
	if len(nginx.rates) > 0 {
		rows = append(rows,
			row{what: "hit, 30 KB, c=64: requests, against nginx with files", ours: median(ours.rates), reference: median(nginx.rates), unit: "1/s"},
			row{what: "hit, 30 KB, c=64: CPU a request, against nginx with files", ours: median(ours.costs), reference: median(nginx.costs), unit: "us"})
	}
	return rows, nil
}

func last(list []float64) float64 { return list[len(list)-1] }

// side is one of the compared servers.
type side struct {
	name     string
	addr     string
	pid      int
	requests [][]byte
	rates    []float64 // responses per second, by round
	costs    []float64 // microseconds of the server's processor time per response, by round
}

func (s *side) round(d time.Duration) error {
	before, began := familyCPU(s.pid), time.Now()
	n, err := closedLoop(s.addr, s.requests, hitConnections, d)
	if err != nil {
		return err
	}
	took := time.Since(began)
	cpu := familyCPU(s.pid) - before
	s.rates = append(s.rates, float64(n)/took.Seconds())
	s.costs = append(s.costs, float64(cpu.Microseconds())/float64(n))
	return nil
}

// hits is a proxy with warm pictures, and a bare handler with the same pictures.
type hits struct {
	rig         *rig
	bare        *process
	bareAddr    string
	bareArgs    []string // its program and arguments
	requests    [][]byte
	bodies      [][]byte
	contentType string
	stop        func()
}

func (b *bench) startHits(ctx context.Context) (*hits, error) {
	r, err := b.startServer(ctx, memoryTier, countingOnly)
	if err != nil {
		return nil, err
	}
	t := &hits{rig: r, stop: r.stop}
	paths, bodies, contentType, err := r.warm(ctx)
	if err == nil {
		t.bodies, t.contentType = bodies, contentType
		err = t.startBare(ctx, b, paths, bodies, contentType)
	}
	if err != nil {
		r.stop()
		return nil, err
	}
	t.stop = func() { t.bare.stop(); r.stop() }
	for _, path := range paths {
		t.requests = append(t.requests, rawRequest(path))
	}
	return t, nil
}

// startUncounted starts a proxy with warm pictures that does not count views.
func (b *bench) startUncounted(ctx context.Context) (*hits, error) {
	r, err := b.startServer(ctx, memoryTier, countingOff)
	if err != nil {
		return nil, err
	}
	t := &hits{rig: r, stop: r.stop}
	paths, _, _, err := r.warm(ctx)
	if err != nil {
		r.stop()
		return nil, err
	}
	for _, path := range paths {
		t.requests = append(t.requests, rawRequest(path))
	}
	return t, nil
}

// warm fills the memory tier with pictures of about hitBytes. Each is requested twice, and again in its final stage.
func (r *rig) warm(ctx context.Context) (paths []string, bodies [][]byte, contentType string, err error) {
	origin, stopOrigin, err := serveOrigin(map[string][]byte{"a.jpg": drawPicture()})
	if err != nil {
		return nil, nil, "", err
	}
	defer stopOrigin()
	width, err := r.widthFor(ctx, origin+"/a.jpg")
	if err != nil {
		return nil, nil, "", err
	}
	for i := range hitPictures {
		path, err := r.path(origin+"/a.jpg", fmt.Sprintf(cmp.Or(r.warmed, hitOptions), width, i))
		if err != nil {
			return nil, nil, "", err
		}
		for range 2 {
			if _, _, err = r.get(ctx, path, browserAccept); err != nil {
				return nil, nil, "", err
			}
		}
		paths = append(paths, path)
	}
	if err := r.awaitUpgrades(ctx); err != nil {
		return nil, nil, "", err
	}
	for _, path := range paths {
		var body []byte
		if body, contentType, err = r.get(ctx, path, browserAccept); err != nil {
			return nil, nil, "", err
		}
		bodies = append(bodies, body)
	}
	return paths, bodies, contentType, nil
}

// awaitUpgrades waits until the variants that were requested twice are final.
func (r *rig) awaitUpgrades(ctx context.Context) error {
	for {
		n, err := r.metric(ctx, "goldcrest_upgrades_pending")
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
func (r *rig) widthFor(ctx context.Context, source string) (int, error) {
	low, high := 16, 1200
	for high-low > 1 {
		width := (low + high) / 2
		path, err := r.path(source, fmt.Sprintf(cmp.Or(r.warmed, hitOptions), width, 0))
		if err != nil {
			return 0, err
		}
		body, _, err := r.get(ctx, path, browserAccept)
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

// drawPicture is an original with detail at every scale.
func drawPicture() []byte {
	img := image.NewRGBA(image.Rect(0, 0, 1200, 900))
	seed := uint32(1)
	for y := range 900 {
		for x := range 1200 {
			seed = seed*1664525 + 1013904223
			noise := uint8(seed >> 27)
			img.Set(x, y, color.RGBA{uint8(x*y/700) + noise, uint8(x/5) + noise, uint8((x^y)/6) + noise, 255})
		}
	}
	var b bytes.Buffer
	_ = jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}) // A bytes.Buffer never fails.
	return b.Bytes()
}

// bareArgument runs this program as the bare handler, with the bodies of a file.
const bareArgument = "bare-handler"

// bareContent is the input of the bare handler.
type bareContent struct {
	Addr, ContentType string
	Bodies            map[string][]byte
}

// startBare runs the bare handler in a separate process.
func (t *hits) startBare(ctx context.Context, b *bench, paths []string, bodies [][]byte, contentType string) error {
	addr, _, err := freeAddrs()
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
	file := filepath.Join(b.work, "bare.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	t.bareAddr, t.bareArgs = addr, []string{self, bareArgument, file}
	if t.bare, err = start(self, bareArgument, file); err != nil {
		return err
	}
	return awaitReady(ctx, t.bare, "http://"+addr+paths[0])
}

// serveBare is the reference: the cost of net/http with nothing behind it.
func serveBare(file string) error {
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
