package origin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

func TestFault11NotFoundIsAskedOnceAMinute(t *testing.T) {
	var found atomic.Bool
	base, hits := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if !found.Load() {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write(smallPNG(t))
	})
	watch := newClock()
	c := newClient(t, Hooks{Now: watch.now}, nil)
	ask := func(want fault.Kind, wantHits int64) {
		t.Helper()
		_, err := get(t, c, base+"/a")
		wantKind(t, err, want)
		if hits.Load() != wantHits {
			t.Errorf("%d requests, want %d", hits.Load(), wantHits)
		}
	}
	ask(fault.SourceNotFound, 1)
	watch.move(59 * time.Second)
	ask(fault.SourceNotFound, 1)
	_, err := get(t, c, base+"/a")
	if after := fault.Of(err).RetryAfter; after != time.Second {
		t.Errorf("Retry-After = %v, want 1 s", after)
	}
	watch.move(time.Second)
	ask(fault.SourceNotFound, 2)
	watch.move(119 * time.Second) // The wait has doubled.
	ask(fault.SourceNotFound, 2)
	watch.move(time.Second)
	ask(fault.SourceNotFound, 3)
	for range 10 {
		watch.move(time.Hour)
		ask(fault.SourceNotFound, hits.Load()+1)
	}
	watch.move(time.Hour - time.Second)
	ask(fault.SourceNotFound, 13)
	c.Forget(base + "/a")
	ask(fault.SourceNotFound, 14)
	watch.move(-24 * time.Hour) // A clock that is set back must not freeze the entry.
	found.Store(true)
	ask("", 15)
	found.Store(false)
	ask(fault.SourceNotFound, 16)
	watch.move(time.Minute) // Success has reset the wait.
	ask(fault.SourceNotFound, 17)
}

func TestNegativesAreBounded(t *testing.T) {
	watch := newClock()
	n := NewNegatives(watch.now)
	for i := range maxNegatives + 500 {
		n.learn(fmt.Sprint(i), "", fault.New(fault.SourceNotFound, "", "", errors.New("cause")))
	}
	if len(n.entries) != maxNegatives || n.count() != maxNegatives {
		t.Errorf("%d entries, %d of which answer; want %d", len(n.entries), n.count(), maxNegatives)
	}
	watch.move(firstNegative)
	if n.count() != 0 {
		t.Errorf("%d entries answer after their time", n.count())
	}
	for _, kind := range fault.Kinds() {
		n.clear()
		n.learn("x", "", fault.New(kind, "", "", nil))
		if f, _ := n.Find("x"); f != nil && kind.Retryable() {
			t.Errorf("%s is remembered although a retry may help", kind)
		}
	}
}

func TestFault11BreakerOpens(t *testing.T) {
	var healthy atomic.Bool
	base, hits := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if !healthy.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(smallPNG(t))
	})
	watch := newClock()
	c := newClient(t, Hooks{Now: watch.now}, nil)
	n := 0
	ask := func() error {
		n++ // Another source each time: the circuit belongs to the host.
		_, err := get(t, c, fmt.Sprintf("%s/%d", base, n))
		return err
	}
	for range breakerRun {
		wantKind(t, ask(), fault.SourceError)
	}
	if bad, resting := c.Known(); bad != 0 || resting != 1 {
		t.Errorf("%d sources are known to be bad and %d hosts rest, want none and one", bad, resting)
	}
	for range 20 {
		err := ask()
		wantKind(t, err, fault.OriginCircuitOpen)
		if fault.Of(err).RetryAfter <= 0 {
			t.Fatal("no Retry-After")
		}
	}
	if hits.Load() != breakerRun {
		t.Errorf("%d requests, want %d", hits.Load(), breakerRun)
	}
	for second := range 60 { // At most one probe a second while it stays broken.
		before := hits.Load()
		watch.move(time.Second)
		for range 5 {
			_ = ask()
		}
		if probes := hits.Load() - before; probes > 1 {
			t.Fatalf("second %d: %d probes", second, probes)
		}
	}
	healthy.Store(true)
	watch.move(lastPause)
	wantKind(t, ask(), "")
	wantKind(t, ask(), "")
	if c.settings.Load().hosts.known[base] != nil {
		t.Error("a healthy host that nobody uses is still remembered")
	}
}

func TestFault11RetryAfter(t *testing.T) {
	tests := []struct {
		status int
		header string
		want   time.Duration // that the host is left alone
	}{
		{429, "30", 30 * time.Second},
		{429, "0", time.Second},
		{429, "", time.Second},
		{429, "nonsense", time.Second},
		{429, "86400", maxHostPause},
		{503, "7", 7 * time.Second},
		{503, "", 0},
		{500, "7", 0},
	}
	for _, tt := range tests {
		base, hits := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", tt.header)
			w.WriteHeader(tt.status)
		})
		watch := newClock()
		c := newClient(t, Hooks{Now: watch.now}, nil)
		_, err := get(t, c, base)
		wantKind(t, err, fault.SourceError)
		if tt.want == 0 {
			_, err = get(t, c, base)
			wantKind(t, err, fault.SourceError)
			continue
		}
		watch.move(tt.want - time.Millisecond)
		_, err = get(t, c, base)
		wantKind(t, err, fault.OriginCircuitOpen)
		watch.move(time.Millisecond)
		_, err = get(t, c, base)
		wantKind(t, err, fault.SourceError)
		if hits.Load() != 2 {
			t.Errorf("%d %q: %d requests, want 2", tt.status, tt.header, hits.Load())
		}
	}
}

func TestBreakerLetsOneProbePass(t *testing.T) {
	watch := newClock()
	table := newHosts(8, watch.now)
	bad := fault.New(fault.ConnectFailed, "", "", nil)
	for range breakerRun {
		v, err := table.enter(context.Background(), "h", nil)
		if err != nil {
			t.Fatal(err)
		}
		v.leave(bad)
	}
	watch.move(firstPause)
	probe, err := table.enter(context.Background(), "h", nil)
	if err != nil || !probe.probe {
		t.Fatalf("no probe: %v", err)
	}
	_, err = table.enter(context.Background(), "h", nil)
	wantKind(t, err, fault.OriginCircuitOpen)
	probe.leave(fault.New(fault.Canceled, "", "", nil)) // It says nothing: the pause begins again.
	_, err = table.enter(context.Background(), "h", nil)
	wantKind(t, err, fault.OriginCircuitOpen)
	watch.move(firstPause)
	if probe, err = table.enter(context.Background(), "h", nil); err != nil {
		t.Fatal(err)
	}
	probe.leave(bad)
	watch.move(firstPause)
	_, err = table.enter(context.Background(), "h", nil)
	wantKind(t, err, fault.OriginCircuitOpen) // The pause has doubled.
	watch.move(-time.Hour)
	if probe, err = table.enter(context.Background(), "h", nil); err != nil {
		t.Fatalf("a clock set back froze the circuit: %v", err)
	}
	probe.leave(fault.New(fault.SourceNotFound, "", "", nil)) // An answer, if not a picture.
	if len(table.known) != 0 {
		t.Errorf("%d hosts remembered, want 0", len(table.known))
	}
}

func TestHostSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newHosts(2, time.Now)
		var busy, most atomic.Int64
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				v, err := table.enter(context.Background(), "h", nil)
				if err != nil {
					t.Error(err)
					return
				}
				most.Store(max(most.Load(), busy.Add(1)))
				time.Sleep(time.Second)
				busy.Add(-1)
				v.leave(nil)
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		_, err := table.enter(ctx, "h", nil)
		wantKind(t, err, fault.Overloaded)
		gone, leave := context.WithCancel(context.Background())
		leave()
		_, err = table.enter(gone, "h", nil)
		wantKind(t, err, fault.Canceled)
		other, err := table.enter(context.Background(), "other", nil)
		if err != nil {
			t.Errorf("another host has to wait: %v", err)
		} else {
			other.leave(nil)
		}
		all.Wait()
		if most.Load() != 2 {
			t.Errorf("%d at a time, want 2", most.Load())
		}
		if len(table.known) != 0 {
			t.Errorf("%d hosts remembered, want 0", len(table.known))
		}
	})
}

func TestHostsAreBounded(t *testing.T) {
	table := newHosts(1, newClock().now)
	bad := fault.New(fault.ConnectFailed, "", "", nil)
	for i := range maxHosts + 10 {
		v, err := table.enter(context.Background(), fmt.Sprint(i), nil)
		if err != nil {
			t.Fatal(err)
		}
		v.leave(bad)
	}
	if len(table.known) > maxHosts {
		t.Errorf("%d hosts remembered", len(table.known))
	}
}
