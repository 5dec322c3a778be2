package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// crowd requests n pictures, each of a different source, over n connections, and returns a function that closes them
// all.
func crowd(t *testing.T, s *server, n int, options, source string) (hangUp func()) {
	t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.public, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", signed(options, fmt.Sprintf("%s?n=%d", source, i)))
		conns[i] = c
	}
	return func() {
		for _, c := range conns {
			c.Close()
		}
	}
}

// Two hundred clients hang up while their pictures wait for a slow origin or for a worker. Fetches are cancelled and
// queued work is dropped. The workers are idle once their running work has ended.
func TestFault21ClientsHangUp(t *testing.T) {
	const clients = 200
	jpeg := photo(t, "groceries.jpg")
	fills := func(s *server, kind string) int { return int(s.metric("goldcrest_fills_total", `kind="`+kind+`"`)) }
	idle := func(s *server) bool {
		return s.metric("goldcrest_fills_in_flight") == 0 && s.metric("goldcrest_gate_running") == 0 &&
			s.metric("goldcrest_gate_waiting") == 0 && s.metric("goldcrest_workers_busy") == 0
	}
	t.Run("for the origin", func(t *testing.T) {
		s, o := start(t), startOrigin(t)
		left := make(chan struct{}, clients)
		o.on("/slow.jpg", func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			left <- struct{}{}
		})
		hangUp := crowd(t, s, clients, "w:100/f:webp", o.URL+"/slow.jpg")
		eventually(t, "all wait", func() bool { return s.metric("goldcrest_fills_in_flight") == clients })
		hangUp()
		within(t, 5*time.Second, "nothing is in work", func() bool { return idle(s) })
		asked := o.count("/slow.jpg")
		eventually(t, "no fetch goes on", func() bool { return len(left) == asked })
		if asked > clients/2 { // Some may get the slots of clients whose hang-up was noticed earlier.
			t.Errorf("the origin was asked %d times, want few", asked)
		}
		if canceled, made := fills(s, "canceled"), fills(s, "none"); canceled != clients || made != 0 {
			t.Errorf("got %d cancelled, %d made; want all cancelled", canceled, made)
		}
	})
	t.Run("for a worker", func(t *testing.T) {
		s, o := start(t, "GOLDCREST_TRANSFORM_WORKERS=1"), startOrigin(t)
		o.on("/a.jpg", func(w http.ResponseWriter, _ *http.Request) { w.Write(jpeg) })
		hangUp := crowd(t, s, clients, "w:1000/f:avif", o.URL+"/a.jpg")
		eventually(t, "a worker is busy and many wait", func() bool {
			return s.metric("goldcrest_workers_busy") == 1 && s.metric("goldcrest_fills_in_flight") > 10
		})
		hangUp()
		eventually(t, "all were seen to leave", func() bool { return s.metric("goldcrest_gate_waiting") == 0 })
		inWork := s.metric("goldcrest_gate_running", `gate="transform"`) // Read first: work that ends in between counts twice, not never.
		begun := inWork + s.metric("goldcrest_transforms_total")
		eventually(t, "nothing is in work", func() bool { return idle(s) })
		if got := s.metric("goldcrest_transforms_total"); got > begun {
			t.Errorf("got %v transforms, want no more than the %v that were begun when the last one left", got, begun)
		}
		canceled, made, refused := fills(s, "canceled"), fills(s, "none"), fills(s, "overloaded")
		if canceled == 0 || canceled+made+refused != clients {
			t.Errorf("got %d cancelled, %d made, %d refused; want all %d accounted for, most of them cancelled", canceled, made, refused, clients)
		}
		if puts := int(s.metric("goldcrest_store_operations_total", `tier="dir"`, `op="put"`)); puts != made {
			t.Errorf("got %d puts for %d pictures", puts, made)
		}
	})
}
