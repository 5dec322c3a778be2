package origin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/reach"
)

// elsewhere serves at another host than serve does.
func elsewhere(t *testing.T, handler http.HandlerFunc) (base string, hits *atomic.Int64) {
	t.Helper()
	hits = new(atomic.Int64)
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		handler(w, r)
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, hits
}

func within(t *testing.T, patterns ...string) reach.Hosts {
	t.Helper()
	h, err := reach.Of(patterns)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// leading redirects to what the path names.
func leading(to *string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if name, ok := strings.CutPrefix(r.URL.Path, "/away"); ok {
			http.Redirect(w, r, *to+name+"?signature=secret", http.StatusFound)
			return
		}
		http.NotFound(w, r)
	}
}

// TestReachHoldsOnEachHop redirects from a host that the caller may ask to one that it may not, and back.
func TestReachHoldsOnEachHop(t *testing.T) {
	png := smallPNG(t)
	var here, there string
	base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/here":
			http.Redirect(w, r, "/picture", http.StatusFound)
		case "/picture":
			_, _ = w.Write(png)
		default:
			leading(&there)(w, r)
		}
	})
	here = base
	there, asked := elsewhere(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/back" {
			http.Redirect(w, r, here+"/picture", http.StatusFound)
			return
		}
		_, _ = w.Write(png)
	})
	c := newClient(t, Hooks{}, nil)
	bound, both := within(t, "127.0.0.1"), within(t, "127.0.0.1", "127.0.0.2")
	for _, tt := range []struct {
		path   string
		within reach.Hosts
		want   fault.Kind
		via    reach.Via
		asked  int64
	}{
		{"/picture", bound, "", "", 0},
		{"/here", bound, "", "", 0},
		{"/away/picture", bound, fault.SourceNotAllowed, "", 0},
		{"/away/back", bound, fault.SourceNotAllowed, "", 0},
		{"/away/picture", both, "", "127.0.0.2", 1},
		{"/away/back", both, "", "127.0.0.2", 1},
		{"/away/picture", "", "", "127.0.0.2", 1},
		{"/away/picture", both.And(bound), fault.SourceNotAllowed, "", 0},
		{"/picture", within(t, "127.0.0.2"), fault.SourceNotAllowed, "", 0},
	} {
		asked.Store(0)
		o, err := c.Fetch(context.Background(), here+tt.path, Limits{Within: tt.within})
		if err == nil {
			o.Release()
		}
		if wantKind(t, err, tt.want); o.Via != tt.via || asked.Load() != tt.asked {
			t.Errorf("%s within %q: via %q with %d requests, want %q with %d", tt.path, tt.within, o.Via, asked.Load(), tt.via, tt.asked)
		}
		if err != nil && (!errors.Is(err, reach.ErrBeyond) || strings.Contains(err.Error(), "127.0.0.2") || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s within %q: %v", tt.path, tt.within, err)
		}
	}
}

// TestRefusalForOneCallersHostsHarmsNoOther refuses many callers for their reach: the others, and the host, do not
// suffer.
func TestRefusalForOneCallersHostsHarmsNoOther(t *testing.T) {
	png := smallPNG(t)
	var there string
	here, hits := serve(t, func(w http.ResponseWriter, r *http.Request) { leading(&there)(w, r) })
	there, _ = elsewhere(t, send(png))
	c := newClient(t, Hooks{Now: newClock().now}, nil)
	bound := Limits{Within: within(t, "127.0.0.1")}
	for i := range 4 * breakerRun {
		_, err := c.Fetch(context.Background(), fmt.Sprintf("%s/away/%d", here, i%2), bound)
		wantKind(t, err, fault.SourceNotAllowed)
	}
	if bad, resting := c.Known(); bad != 0 || resting != 0 || hits.Load() != 4*breakerRun {
		t.Errorf("%d sources known to be bad, %d hosts resting, %d requests", bad, resting, hits.Load())
	}
	_, err := get(t, c, here+"/away/0")
	wantKind(t, err, "")
}

// TestKnownBadStaysWithinReach: what a host said is remembered, and told to nobody who may not ask it.
func TestKnownBadStaysWithinReach(t *testing.T) {
	var there string
	here, hits := serve(t, func(w http.ResponseWriter, r *http.Request) { leading(&there)(w, r) })
	there, _ = elsewhere(t, http.NotFound)
	c := newClient(t, Hooks{Now: newClock().now}, nil)
	for _, path := range []string{"/away", "/gone"} {
		_, err := get(t, c, here+path)
		wantKind(t, err, fault.SourceNotFound)
	}
	before := hits.Load()
	for _, tt := range []struct {
		path   string
		within reach.Hosts
		want   fault.Kind
	}{
		{"/away", within(t, "127.0.0.1"), fault.SourceNotAllowed},
		{"/away", within(t, "127.0.0.1", "127.0.0.2"), fault.SourceNotFound},
		{"/away", "", fault.SourceNotFound},
		{"/gone", within(t, "127.0.0.1"), fault.SourceNotFound},
	} {
		_, err := c.Fetch(context.Background(), here+tt.path, Limits{Within: tt.within})
		wantKind(t, err, tt.want)
	}
	if hits.Load() != before {
		t.Error("a source that is known to be bad was asked again")
	}
}
