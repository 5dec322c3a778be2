package server

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/variant"
)

// diary is a Ledger and a Queue that keep jobs, and of everything else only that it was written: tasks are on a disk,
// not in memory.
type diary struct {
	gauge *heapGauge

	mu       sync.Mutex
	revision uint64
	jobs     map[string]ledger.Record
}

func (d *diary) Write(_ context.Context, records ...*ledger.Record) error {
	d.gauge.read("records written")
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range records {
		d.revision++
		if r.Revision = d.revision; strings.HasPrefix(r.Key, "job.") {
			d.jobs[r.Key] = *r
		}
	}
	return nil
}

func (d *diary) Read(_ context.Context, key string) (ledger.Record, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r, ok := d.jobs[key]; ok {
		return r, nil
	}
	return ledger.Record{}, ledger.ErrNoRecord
}

func (d *diary) List(context.Context, ledger.Scan, func(ledger.Record) bool) error { return nil }

func (d *diary) Follow(ctx context.Context, _ []string, started func(), _ func(ledger.Record)) error {
	started()
	<-ctx.Done()
	return nil
}

func (d *diary) Put(context.Context, ...ledger.Ticket) error {
	d.gauge.read("tickets put")
	return nil
}

func (d *diary) Consume(context.Context, []string, int, ledger.Handler) error { return nil }
func (d *diary) Waiting(context.Context, string) (int, error)                 { return 0, nil }
func (d *diary) Room(context.Context) error                                   { return nil }

// heapGauge finds the most that was in use at the moments at which it was read. Usage is written beside a call.
type heapGauge struct {
	mu   sync.Mutex
	most uint64
	when string
}

// read collects garbage, so that it depends on nothing but what is in use.
func (g *heapGauge) read(when string) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	g.mu.Lock()
	defer g.mu.Unlock()
	if m.HeapAlloc > g.most {
		g.most, g.when = m.HeapAlloc, when
	}
}

// restart forgets what it read, reads, and returns that.
func (g *heapGauge) restart() uint64 {
	g.mu.Lock()
	g.most = 0
	g.mu.Unlock()
	g.read("before")
	most, _ := g.highest()
	return most
}

func (g *heapGauge) highest() (most uint64, when string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.most, g.when
}

// reader is a caller who reads an answer and keeps nothing of it.
type reader struct {
	gauge  *heapGauge
	header http.Header
	status int
	bytes  int
}

func (r *reader) Header() http.Header    { return r.header }
func (r *reader) WriteHeader(status int) { r.status = status }
func (r *reader) Write(p []byte) (int, error) {
	if r.bytes>>22 != (r.bytes+len(p))>>22 {
		r.gauge.read(fmt.Sprintf("%d MB answered", r.bytes>>20))
	}
	r.bytes += len(p)
	return len(p), nil
}

// spent is the processor time of this process.
func spent(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestLargestCalls: of the largest calls that are taken, by their images times variants, all in one unit, no more is in
// use at any moment than half of what is charged for them: the heap grows to twice that before garbage is collected.
// Nothing is done for each pair of images: that would be 2.5 billion times, and took check fifteen seconds.
func TestLargestCalls(t *testing.T) {
	const images, variants = 50_000, 4
	var sources, widths []string
	for i := range images {
		sources = append(sources, fmt.Sprintf(`"https://c.example/%d.jpg"`, i))
	}
	for i := range variants {
		widths = append(widths, fmt.Sprintf(`"w:6%d/f:jpg"`, i))
	}
	body := `{"variants":[` + strings.Join(widths, ",") + `],"data_units":[{"images":[` + strings.Join(sources, ",") + `]}]}`
	for name, target := range map[string]string{
		"check": "/v1/check", "urls": "/v1/prewarm", "rewritten": "/v1/prewarm?return=rewritten", "enriched": "/v1/prewarm?return=enriched",
	} {
		t.Run(name, func(t *testing.T) {
			gauge := &heapGauge{}
			d := &diary{gauge: gauge, jobs: map[string]ledger.Record{}}
			a := newAPI(t, nil)
			service, err := prewarm.New(prewarm.Default(), prewarm.Deps{
				Ledger: d, Queue: d, Parser: func() *variant.Parser { return a.access.Current().Parser }, Negotiation: variant.Default,
				Known: func(_ context.Context, refs []variant.Ref) []pipeline.Warmed {
					return make([]pipeline.Warmed, len(refs))
				},
				Warm: func(context.Context, []variant.Ref) []pipeline.Warmed { return nil },
				Sign: func(key, source, options string, _, _ time.Duration) (string, error) {
					return a.keys.Sign(key, variant.Path(options, source, variant.Open))
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(service.Close)
			f := newFixtureWith(t, nil, func(d *Deps) { d.Prewarm = service })
			r := httptest.NewRequest("POST", target, strings.NewReader(body))
			r.Host = "localhost:8081"
			r.Header.Set("Authorization", strings.TrimPrefix(bearer, "Authorization: "))
			w := &reader{gauge: gauge, header: http.Header{}}
			gauge.read("before")
			before := gauge.restart() // What pools kept of earlier calls is gone now.
			began := spent(t)
			f.Private().ServeHTTP(w, r)
			took := spent(t) - began
			highest, when := gauge.highest()
			grown, most := int64(highest-before), int64(images*variants*1024/2)
			t.Logf("%d bytes in, %d out, %v; %d MB in use at the most, when: %s", len(body), w.bytes, took, grown>>20, when)
			if w.status >= 300 || w.bytes < images*100 {
				t.Errorf("status %d with %d bytes", w.status, w.bytes)
			}
			if grown > most {
				t.Errorf("%d MB were in use, want at most %d MB", grown>>20, most>>20)
			}
			if name == "check" && took > 20*time.Second {
				t.Errorf("it took %v of the processor", took)
			}
		})
	}
}
