package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/bench/rig"
	"github.com/goldcrest/goldcrest/client"
)

const (
	twiceKeys   = 24 // pairs of requests for each lag
	twiceOption = "rs:fit:800:0/q:75/f:webp"
	crowdKeys   = 100 // new pictures that viewers request
	crowdViews  = 8   // of each picture
	crowdFor    = 20 * time.Second
	storedKeys  = 200 // pictures that one instance makes and the other reads
	purgeRounds = 20
)

// twiceLags are the delays after which the second instance is asked for the same new picture as the first.
var twiceLags = []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second}

// pair starts two instances.
func (s *scaling) pair(ctx context.Context) ([]*rig.Server, func(), error) {
	instances, end, err := s.launch(ctx, 2)
	if err != nil {
		return nil, nil, err
	}
	for range 8 { // Warms up.
		for _, r := range instances {
			if _, err := s.view(ctx, r, s.source()); err != nil {
				end()
				return nil, nil, err
			}
		}
	}
	return instances, end, nil
}

// errRefused says that an instance was overloaded.
var errRefused = errors.New("refused")

// view requests a picture from an instance and returns its Cache-Status.
func (s *scaling) view(ctx context.Context, r *rig.Server, source string) (string, error) {
	path, err := r.Path(source, twiceOption)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Addr+path, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return "", err
	}
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusServiceUnavailable:
		return "", errRefused
	default:
		return "", fmt.Errorf("%s: %s", path, res.Status)
	}
	return res.Header.Get("Cache-Status"), nil
}

// measureTwice counts how often two instances make the same new picture: if both are asked in short succession, and
// with a crowd of viewers at random moments and random instances.
func (s *scaling) measureTwice(ctx context.Context) ([]rig.Row, error) {
	instances, end, err := s.pair(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	return s.twice(ctx, instances)
}

func (s *scaling) twice(ctx context.Context, instances []*rig.Server) ([]rig.Row, error) {
	var rows []rig.Row
	for _, lag := range twiceLags {
		twice := 0
		for range twiceKeys {
			source := s.source()
			errs := make([]error, 2)
			var wg sync.WaitGroup
			for i, r := range instances {
				wg.Go(func() {
					time.Sleep(time.Duration(i) * lag)
					_, errs[i] = s.view(ctx, r, source)
				})
			}
			wg.Wait()
			if err := errors.Join(errs...); err != nil {
				return nil, err
			}
			twice += s.fetched(source) - 1
		}
		rows = append(rows, rig.Row{What: fmt.Sprintf("a new picture asked of two instances, %v apart: made twice", lag), Ours: 100 * float64(twice) / twiceKeys, Unit: "%"})
	}
	for _, way := range []struct {
		what   string
		target float64
		choose func(source string) int
	}{
		{"at a random instance of two", 0, func(string) int { return rand.N(2) }},
		{"at the instance that its URL leads to", 1.05, func(source string) int { return int(crc32.ChecksumIEEE([]byte(source)) % 2) }},
	} {
		made, refused, err := s.crowd(ctx, instances, way.choose)
		if err != nil {
			return nil, err
		}
		what := fmt.Sprintf("%d new pictures, each viewed %d times in %v %s: ", crowdKeys, crowdViews, crowdFor, way.what)
		rows = append(rows,
			rig.Row{What: what + "made, of those that had to be", Ours: float64(made), Reference: crowdKeys, Target: way.target, AtMost: true},
			rig.Row{What: what + "views refused", Ours: float64(refused), Unit: ""})
	}
	return rows, nil
}

// crowd has viewers request new pictures at random moments, each from the instance that choose returns. It returns the
// numbers of pictures made and of refused views.
func (s *scaling) crowd(ctx context.Context, instances []*rig.Server, choose func(source string) int) (made, refused int, err error) {
	type visit struct {
		at     time.Duration
		source string
	}
	var visits []visit
	var sources []string
	for range crowdKeys {
		source := s.source()
		sources = append(sources, source)
		for range crowdViews {
			visits = append(visits, visit{rand.N(crowdFor), source})
		}
	}
	slices.SortFunc(visits, func(a, b visit) int { return cmp.Compare(a.at, b.at) })
	var wg sync.WaitGroup
	errs := make([]error, len(visits))
	began := time.Now()
	for i, v := range visits {
		time.Sleep(time.Until(began.Add(v.at)))
		wg.Go(func() { _, errs[i] = s.view(ctx, instances[choose(v.source)], v.source) })
	}
	wg.Wait()
	for _, err := range errs {
		if errors.Is(err, errRefused) {
			refused++
		} else if err != nil {
			return 0, 0, err
		}
	}
	for _, source := range sources {
		made += s.fetched(source)
	}
	return made, refused, nil
}

// measureStored measures the cost of a picture that another instance has stored.
func (s *scaling) measureStored(ctx context.Context) ([]rig.Row, error) {
	instances, end, err := s.pair(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var sources []string
	for range storedKeys {
		source := s.source()
		if _, err := s.view(ctx, instances[0], source); err != nil {
			return nil, err
		}
		sources = append(sources, source)
	}
	time.Sleep(time.Second) // Until the last ones are stored.
	var took []time.Duration
	before := rig.FamilyCPU(instances[1].Process.Pid)
	for _, source := range sources {
		began := time.Now()
		status, err := s.view(ctx, instances[1], source)
		if err != nil || !strings.Contains(status, "detail=store") {
			return nil, errors.Join(err, fmt.Errorf("a stored picture: %s", status))
		}
		took = append(took, time.Since(began))
	}
	cpu := rig.FamilyCPU(instances[1].Process.Pid) - before
	slices.Sort(took)
	return []rig.Row{
		{What: "hit in S3: CPU of the instance", Ours: cpu.Seconds() * 1000 / storedKeys, Unit: "ms"},
		{What: "hit in S3: p50", Ours: rig.Quantile(took, 0.5), Unit: "ms"},
	}, nil
}

// measurePurges measures how soon after its call a purge has removed a picture from the memory of every instance.
func (s *scaling) measurePurges(ctx context.Context) ([]rig.Row, error) {
	instances, end, err := s.pair(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	return s.purges(ctx, instances)
}

func (s *scaling) purges(ctx context.Context, instances []*rig.Server) ([]rig.Row, error) {
	api, err := instances[0].Api()
	if err != nil {
		return nil, err
	}
	var done, gone []time.Duration
	for range purgeRounds {
		source := s.source()
		for _, r := range slices.Concat(instances, instances) { // The second time each has it in memory.
			if _, err := s.view(ctx, r, source); err != nil {
				return nil, err
			}
		}
		for _, r := range instances {
			if status, err := s.view(ctx, r, source); err != nil || !inMemory(status) {
				return nil, errors.Join(err, fmt.Errorf("before the purge: %s", status))
			}
		}
		began := time.Now()
		called := make(chan error, 1)
		go func() {
			_, err := api.Purge(ctx, client.PurgeCall{Source: source})
			done = append(done, time.Since(began))
			called <- err
		}()
		last, err := s.awaitGone(ctx, instances, source)
		gone = append(gone, last.Sub(began))
		if err := errors.Join(err, <-called); err != nil {
			return nil, err
		}
	}
	slices.Sort(done)
	slices.Sort(gone)
	if s.Noise {
		fmt.Fprintf(os.Stderr, "  purges: %v\n", gone)
	}
	return []rig.Row{
		{What: "purge: until no instance answers out of its memory, p50", Ours: rig.Quantile(gone, 0.5), Unit: "ms"},
		{What: "purge: until no instance answers out of its memory, worst", Ours: rig.Quantile(gone, 1), Unit: "ms", Target: 1000, AtMost: true},
		{What: "purge: until its call returns, p50", Ours: rig.Quantile(done, 0.5), Unit: "ms"},
	}, nil
}

// awaitGone polls every instance until none answers from its memory, and returns when the last instance without it was
// asked.
func (s *scaling) awaitGone(ctx context.Context, instances []*rig.Server, source string) (last time.Time, err error) {
	var wg sync.WaitGroup
	asked, errs := make([]time.Time, len(instances)), make([]error, len(instances))
	for i, r := range instances {
		wg.Go(func() {
			for status := "detail=memory"; inMemory(status) && errs[i] == nil; {
				asked[i] = time.Now()
				status, errs[i] = s.view(ctx, r, source)
			}
		})
	}
	wg.Wait()
	return slices.MaxFunc(asked, time.Time.Compare), errors.Join(errs...)
}

func inMemory(status string) bool { return strings.Contains(status, "detail=memory") }
