package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goldcrest/goldcrest/bench/rig"
)

const (
	soakKeys    = 50_000  // distinct variants, far more than the memory tier holds
	soakHot     = 500     // of them; most requests are for these
	soakMemory  = 8 << 20 // a small memory tier, so that it is replaced all the time
	soakSamples = 48
	soakClients = 8
)

// sample is the state of a server and its workers at one moment.
type sample struct {
	at                         time.Duration
	pss                        float64 // MB
	files, threads, goroutines float64
}

// MeasureSoak requests a mix of hot and new variants for a long time and reports what grows.
func MeasureSoak(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, speckled(240, 180), nil); err != nil {
		return nil, err
	}
	origin, stopOrigin, err := rig.ServeOrigin(map[string][]byte{"soak.jpg": photo.Bytes()})
	if err != nil {
		return nil, err
	}
	defer stopOrigin()
	r, err := b.StartServer(ctx, soakMemory)
	if err != nil {
		return nil, err
	}
	defer r.Stop()
	ctx, cancel := context.WithTimeout(ctx, b.Soak)
	defer cancel()
	var asked atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, soakClients)
	for i := range soakClients {
		wg.Go(func() {
			if errs[i] = soakAsk(ctx, r, origin+"/soak.jpg", uint64(i), &asked); errs[i] != nil {
				cancel()
			}
		})
	}
	samples, err := soakWatch(ctx, b, r)
	cancel()
	wg.Wait()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return soakRows(samples, b.Soak, asked.Load()), nil
}

// speckled is a small picture that is not flat.
func speckled(w, h int) image.Image {
	r := rand.New(rand.NewPCG(1, 1))
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		img.Set(i%w, i/w, color.NRGBA{uint8(i % w), uint8(i / w), uint8(r.Uint32() % 64), 255})
	}
	return img
}

// soakAsk sends requests until ctx ends: seven of ten for the hot variants, three for any.
func soakAsk(ctx context.Context, r *rig.Server, source string, seed uint64, asked *atomic.Int64) error {
	random := rand.New(rand.NewPCG(seed, 7))
	formats, client := []string{"jpg", "webp", "png"}, rig.StormClient()
	for ctx.Err() == nil {
		n := random.IntN(soakHot)
		if random.IntN(10) < 3 {
			n = random.IntN(soakKeys)
		}
		path, err := r.Path(source, fmt.Sprintf("rs:fit:%d:0/f:%s/cb:%d", 40+n%60, formats[n%len(formats)], n))
		if err != nil {
			return err
		}
		switch status, pause := rig.Once(ctx, client, "http://"+r.Addr+path); {
		case status == http.StatusOK:
			asked.Add(1)
		case status == http.StatusServiceUnavailable && pause > 0: // Another process uses the processor.
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		case ctx.Err() == nil:
			return fmt.Errorf("%s: got status %d", path, status)
		}
	}
	return nil
}

// soakWatch samples until ctx ends.
func soakWatch(ctx context.Context, b *rig.Bench, r *rig.Server) ([]sample, error) {
	var samples []sample
	begun, tick := time.Now(), time.NewTicker(b.Soak/soakSamples)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return samples, nil
		case <-tick.C:
		}
		s := sample{at: time.Since(begun), pss: float64(rig.FamilyPSS(r.Process.Pid)) / 1e6}
		for _, pid := range rig.Family(r.Process.Pid) {
			s.files += entries(pid, "fd")
			s.threads += entries(pid, "task")
		}
		var err error
		if s.goroutines, err = gauge(ctx, "http://"+r.Admin+"/metrics", "go_goroutines"); err != nil {
			if ctx.Err() != nil {
				return samples, nil
			}
			return nil, err
		}
		samples = append(samples, s)
		if b.Noise {
			fmt.Fprintf(os.Stderr, "  %v: %.1f MB, %.0f files, %.0f threads, %.0f goroutines\n", s.at.Round(time.Second), s.pss, s.files, s.threads, s.goroutines)
		}
	}
}

// entries counts the entries of a /proc folder of a process.
func entries(pid int, folder string) float64 {
	list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/%s", pid, folder)) // It may have ended.
	return float64(len(list))
}

// gauge reads one metric without labels.
func gauge(ctx context.Context, url, name string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(res.Body); err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(text.Bytes(), []byte("\n"+name+" "))
	if !ok {
		return 0, fmt.Errorf("there is no metric %s", name)
	}
	value, _, _ := bytes.Cut(rest, []byte("\n"))
	return strconv.ParseFloat(string(value), 64)
}

// slope is the growth of values per minute: the median of the slopes between any two samples (Theil and Sen). A worker
// that is being replaced does not distort it.
func slope(samples []sample, value func(sample) float64) float64 {
	var all []float64
	for i, a := range samples {
		for _, b := range samples[i+1:] {
			all = append(all, (value(b)-value(a))/(b.at-a.at).Minutes())
		}
	}
	if len(all) == 0 {
		return 0
	}
	return rig.Median(all)
}

// soakRows judges the last half of the samples.
func soakRows(samples []sample, length time.Duration, asked int64) []rig.Row {
	late := samples[len(samples)/2:]
	if len(late) == 0 {
		return nil
	}
	what := fmt.Sprintf("soak, %v, last half: ", length)
	third := max(len(late)/3, 1)
	growth := func(value func(sample) float64) float64 { // From the middle of the first third to that of the last.
		of := func(some []sample) (values []float64) {
			for _, s := range some {
				values = append(values, value(s))
			}
			return values
		}
		return rig.Median(of(late[len(late)-third:])) - rig.Median(of(late[:third]))
	}
	pss := func(s sample) float64 { return s.pss }
	rows := []rig.Row{
		{What: what + "slope of PSS, server and workers", Ours: slope(late, pss), Unit: "MB/min", Target: 1, AtMost: true},
		{What: what + "growth of open files", Ours: growth(func(s sample) float64 { return s.files }), Unit: "", Target: 5, AtMost: true},
		{What: what + "slope of threads", Ours: slope(late, func(s sample) float64 { return s.threads }), Unit: "1/min"},
		{What: what + "slope of goroutines", Ours: slope(late, func(s sample) float64 { return s.goroutines }), Unit: "1/min"},
		{What: "soak: requests answered", Ours: float64(asked)},
		{What: "soak: PSS at the end", Ours: late[len(late)-1].pss, Unit: "MB"},
	}
	return rows
}
