package origin

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// Bodies of every kind come in from several hosts, far more than there is memory for. All of them end, and no bound is
// passed.
func TestGrowingBodiesNeverWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const largest, step, total = 1000, 10, 8000
		b := newBudget(total, largest)
		random := rand.New(rand.NewPCG(1, 2))
		check := func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			sum := int64(0)
			for host, held := range b.hosts {
				sum += held
				if held > b.share {
					t.Errorf("%s holds %d bytes, more than its share of %d", host, held, b.share)
				}
			}
			if b.used > total || sum > b.used {
				t.Errorf("%d bytes are used and %d come in, of %d", b.used, sum, total)
			}
		}
		var all sync.WaitGroup
		for i := range 300 {
			host := string(rune('a' + i%3))
			size, pause := int64(1+random.IntN(largest)), time.Duration(random.IntN(50))*time.Millisecond
			first, most := size, size
			if grows := i%4 != 0; grows {
				if size > largest/2 {
					size = largest // Many need all that they may.
				}
				first, most = step, largest
			}
			all.Go(func() {
				s, err := b.enter(t.Context(), host, first, most)
				if err != nil {
					t.Error(err)
					return
				}
				for check(); s.held < size; check() {
					time.Sleep(pause)
					if err := s.grow(t.Context(), min(max(s.held, step), most-s.held)); err != nil {
						t.Error(err)
						return
					}
				}
				s.arrived(size)
				check()
				time.Sleep(pause)
				s.release()
			})
		}
		all.Wait()
		if b.used != 0 || len(b.hosts)+len(b.growing)+b.waiting.Len() != 0 {
			t.Errorf("%d bytes, %v, %d that grow and %d that wait are left", b.used, b.hosts, len(b.growing), b.waiting.Len())
		}
	})
}

// Anyone who leaves while it waits makes room for those behind it.
func TestCancelledWaiterForMemoryLetsOthersPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1000, 1000)
		first, err := b.enter(t.Context(), "a", 600, 600)
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		large, small := make(chan error, 1), make(chan error, 1)
		go func() { _, err := b.enter(ctx, "b", 900, 900); large <- err }()
		synctest.Wait()
		go func() { _, err := b.enter(t.Context(), "c", 300, 300); small <- err }()
		synctest.Wait()
		if len(small) != 0 {
			t.Error("a small body passed a large one that waits: it would never get its turn")
		}
		leave()
		if err := <-large; err != context.Canceled {
			t.Errorf("got %v, want the end of the context", err)
		}
		if err := <-small; err != nil {
			t.Error(err)
		}
		first.arrived(0)
		first.release()
	})
}

// stalled is a body of which some bytes come and then no more. It tells when somebody waits for more.
type stalled struct {
	bytes   []byte
	waiting chan<- struct{}
	end     <-chan struct{}
}

func (s *stalled) Read(p []byte) (int, error) {
	if n := copy(p, s.bytes); n > 0 {
		s.bytes = s.bytes[n:]
		return n, nil
	}
	s.waiting <- struct{}{}
	<-s.end
	return 0, io.ErrUnexpectedEOF
}

// Bodies without a length that do not go on take what has come of them, and those with one no more than a quarter of
// the memory: another host's originals come in at once.
func TestSlowBodiesOfOneHostDelayNoOther(t *testing.T) {
	const largest = 1 << 20
	png := smallPNG(t)
	for name, length := range map[string]int64{"chunked": -1, "of a length": largest} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, Hooks{}, func(cfg *Config) { cfg.MaxBytes, cfg.Memory = largest, 8*largest })
			on := func(host string) *fetch {
				return &fetch{client: c, settings: c.settings.Load(), source: &url.URL{Scheme: "http", Host: host}, cap: largest}
			}
			waiting, end := make(chan struct{}), make(chan struct{})
			ctx, stop := context.WithCancel(t.Context())
			var reading sync.WaitGroup
			const bodies = 24
			for range bodies {
				reading.Go(func() {
					body := &stalled{bytes: png[:20], waiting: waiting, end: end}
					_, err := on("slow.example").read(ctx, func(error) {}, &http.Response{ContentLength: length, Body: io.NopCloser(body)})
					if k := fault.KindOf(err); k == "" {
						t.Error("a part was taken for a picture")
					}
				})
			}
			admitted := 2 // a quarter
			if length < 0 {
				admitted = 16 // What they have, and what one of them may still come to, is a quarter.
			}
			for range admitted {
				<-waiting
			}
			quick, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			var others []Original
			for range 5 {
				o, err := on("good.example").read(quick, func(error) {}, &http.Response{
					ContentLength: int64(len(png)), Body: io.NopCloser(&stalled{bytes: png}),
				})
				if err != nil {
					t.Fatalf("another host's original: %v", err)
				}
				others = append(others, o)
			}
			s, err := c.settings.Load().memory.enter(quick, "http://good.example", largest, largest)
			if err != nil {
				t.Errorf("another host's largest original: %v", err)
			} else {
				s.arrived(0)
			}
			for _, o := range others {
				o.Release()
			}
			stop()
			close(end)
			go func() {
				for range waiting { // Those that were admitted in the end.
				}
			}()
			reading.Wait()
			close(waiting)
			if m := c.settings.Load().memory; m.used != 0 {
				t.Errorf("%d bytes are held in the end, want none", m.used)
			}
		})
	}
}
