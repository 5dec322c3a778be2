package server

import (
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pressure"
)

// Step by step: pictures are answered until everything is refused, new Data Units until only the cache is left, and
// probes tell.
func TestFault34ServerSteps(t *testing.T) {
	var step atomic.Int32
	f := newAPI(t, nil)
	f.state.Pressure = func() pressure.Step { return pressure.Step(step.Load()) }
	accepting(f, aJob())
	for _, c := range []struct {
		step                           pressure.Step
		picture, health, ready, intake int
	}{
		{pressure.Normal, 200, 200, 200, 202},
		{pressure.NoPrewarm, 200, 200, 200, 202},
		{pressure.CacheOnly, 200, 200, 200, 503},
		{pressure.Refuse, 503, 503, 503, 503},
		{pressure.Normal, 200, 200, 200, 202},
	} {
		step.Store(int32(c.step))
		asked := f.images.gets
		w := f.do("GET", f.url("rs:fit:480:0/f:webp", photo))
		if w.Code != c.picture {
			t.Errorf("%v: a picture got %d, want %d", c.step, w.Code, c.picture)
		}
		if w.Code == 503 && (code(t, w) != fault.Overloaded || w.Header().Get("Retry-After") == "" || f.images.gets != asked) {
			t.Errorf("%v: refused as %s, Retry-After %q, %d look-ups",
				c.step, code(t, w), w.Header().Get("Retry-After"), f.images.gets-asked)
		}
		if w := f.do("GET", "/health"); w.Code != c.health {
			t.Errorf("%v: /health got %d, want %d", c.step, w.Code, c.health)
		}
		if w := f.private("GET", "/readyz", ""); w.Code != c.ready {
			t.Errorf("%v: /readyz got %d, want %d", c.step, w.Code, c.ready)
		}
		if w := f.private("GET", "/healthz", ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"memory":"`+c.step.String()+`"`) {
			t.Errorf("%v: /healthz got %d %s", c.step, w.Code, w.Body)
		}
		if w := f.private("POST", "/v1/prewarm", unitBody, "Authorization: Bearer "+testToken); w.Code != c.intake {
			t.Errorf("%v: a Data Unit got %d, want %d: %s", c.step, w.Code, c.intake, w.Body)
		}
	}
}

// While an instance starts, load balancers send it no requests. It serves those that come nevertheless.
func TestFault57NotReadyBeforeThePurgesAreRead(t *testing.T) {
	var started atomic.Bool
	f := newFixtureWith(t, nil, func(d *Deps) { d.Started = started.Load })
	for _, want := range []int{503, 200} {
		for path, w := range map[string]*httptest.ResponseRecorder{
			"/health": f.do("GET", "/health"), "/readyz": f.private("GET", "/readyz", ""),
		} {
			if w.Code != want {
				t.Errorf("started %v: %s got %d, want %d", started.Load(), path, w.Code, want)
			}
		}
		if w := f.do("GET", f.url("rs:fit:480:0/f:webp", photo)); w.Code != 200 {
			t.Errorf("started %v: a picture got %d", started.Load(), w.Code)
		}
		if w := f.private("GET", "/healthz", ""); w.Code != 200 {
			t.Errorf("started %v: /healthz got %d", started.Load(), w.Code)
		}
		started.Store(true)
	}
}
