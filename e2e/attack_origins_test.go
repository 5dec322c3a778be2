package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestAttackSlowChunkedOrigins is attack 2.4: a host responds slowly and without a length, to more concurrent requests
// than origin.memory allows at the largest size of each. Misses from other hosts take as long as before.
func TestAttackSlowChunkedOrigins(t *testing.T) {
	photo, err := os.ReadFile(filepath.Join(corpus(t), "photos", "groceries.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	const slow = 12
	var came, open atomic.Int64
	all := make(chan struct{})
	hostile := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open.Add(1)
		defer open.Add(-1)
		if came.Add(1) == 8 {
			close(all)
		}
		for rest := photo; len(rest) > 1024; rest = rest[1024:] {
			if _, err := w.Write(rest[:1024]); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}))
	hostile.Listener.Close()
	if hostile.Listener, err = net.Listen("tcp", "127.0.0.2:0"); err != nil { // a separate host
		t.Fatal(err)
	}
	hostile.Start()
	defer hostile.Close()
	o, s := startOrigin(t), start(t)
	var asking sync.WaitGroup
	defer asking.Wait()
	for i := range slow {
		asking.Go(func() {
			_, _ = request("GET", s.public+signed("w:60/f:jpg", fmt.Sprintf("%s/%d.jpg", hostile.URL, i)))
		})
	}
	<-all
	var took []time.Duration
	for i := range 11 {
		begun := time.Now()
		a := s.get(signed("w:60/f:jpg", fmt.Sprintf("%s/alias/%d/groceries.jpg", o.URL, i)))
		took = append(took, time.Since(begun))
		if a.StatusCode != 200 {
			t.Errorf("a miss of another host: %d %s", a.StatusCode, a.body)
		}
	}
	still := open.Load()
	slices.Sort(took)
	t.Logf("beside %d slow bodies other misses took %v in the median, %v at most", still, took[5], took[10])
	if still == 0 {
		t.Error("the slow bodies have ended: this shows nothing")
	}
	if took[10] > 5*time.Second {
		t.Errorf("a miss of another host took %v", took[10])
	}
}
