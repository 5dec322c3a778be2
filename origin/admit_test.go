package origin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// A fetch that waits for its host, or that needs no request, takes no slot from the others; one that asks gives its
// slot back.
func TestAdmitOnlyWhatAsks(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-answer
		w.WriteHeader(http.StatusNotFound)
	}))
	defer srv.Close()
	c := newClient(t, Hooks{}, func(cfg *Config) { cfg.PerHost = 1 })
	var admitted, released, waits atomic.Int64
	lim := Limits{Admit: func(context.Context) (func(), error) {
		admitted.Add(1)
		return func() { released.Add(1) }, nil
	}, Waits: func() { waits.Add(1) }}
	first := make(chan error, 1)
	go func() {
		_, err := c.Fetch(t.Context(), srv.URL+"/a.jpg", lim)
		first <- err
	}()
	<-asked
	if n := waits.Load(); n != 0 {
		t.Errorf("the first fetch said %d times that it waits", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := c.Fetch(ctx, srv.URL+"/b.jpg", lim)
	wantKind(t, err, fault.Overloaded)
	close(answer)
	wantKind(t, <-first, fault.SourceNotFound)
	_, err = c.Fetch(t.Context(), srv.URL+"/a.jpg", lim) // Remembered.
	wantKind(t, err, fault.SourceNotFound)
	if admitted.Load() != 1 || released.Load() != 1 || waits.Load() != 1 {
		t.Errorf("got %d slots taken, %d given back, %d waits, want 1 of each", admitted.Load(), released.Load(), waits.Load())
	}
}
