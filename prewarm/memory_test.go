package prewarm

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/variant"
)

// memory is a Store and a Queue without a disk. onWrite, if set, is called first.
type memory struct {
	mu        sync.Mutex
	revision  uint64
	records   map[string]ledger.Record
	followers []func(ledger.Record)
	tickets   map[ledger.Ticket]time.Time // when each is due; zero = in progress
	changed   chan struct{}

	onWrite func(r *ledger.Record) error
}

func newMemory() *memory {
	return &memory{
		records: map[string]ledger.Record{}, tickets: map[ledger.Ticket]time.Time{}, changed: make(chan struct{}),
	}
}

func (m *memory) Write(_ context.Context, records ...*ledger.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var conflict error
	for _, r := range records {
		if m.onWrite != nil {
			if err := m.onWrite(r); err != nil {
				return err
			}
		}
		if now := m.records[r.Key].Revision; r.Body == nil && r.Mark == "" {
			if now == r.Revision {
				delete(m.records, r.Key)
			}
			continue
		} else if now != r.Revision {
			conflict = ledger.ErrConflict
			continue
		}
		m.revision++
		r.Revision, r.At = m.revision, time.Now()
		m.records[r.Key] = *r
		for _, each := range m.followers {
			go each(ledger.Record{Key: r.Key, Revision: r.Revision, Mark: r.Mark})
		}
	}
	return conflict
}

func (m *memory) Read(_ context.Context, key string) (ledger.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[key]
	if !ok {
		return ledger.Record{}, ledger.ErrNoRecord
	}
	return r, nil
}

func (m *memory) List(_ context.Context, s ledger.Scan, yield func(ledger.Record) bool) error {
	m.mu.Lock()
	var all []ledger.Record
	for key, r := range m.records {
		if strings.HasPrefix(key, s.Prefix+".") && !r.At.Before(s.Since) {
			all = append(all, r)
		}
	}
	m.mu.Unlock()
	slices.SortFunc(all, func(a, b ledger.Record) int { return cmp.Compare(a.Revision, b.Revision) })
	for _, r := range all {
		if !yield(r) {
			break
		}
	}
	return nil
}

func (m *memory) Follow(ctx context.Context, prefixes []string, started func(), each func(ledger.Record)) error {
	m.mu.Lock()
	m.followers = append(m.followers, func(r ledger.Record) {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(r.Key, p+".") }) {
			each(r)
		}
	})
	m.mu.Unlock()
	started()
	<-ctx.Done()
	return nil
}

func (m *memory) Put(_ context.Context, tickets ...ledger.Ticket) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range tickets {
		if _, ok := m.tickets[t]; !ok {
			m.tickets[t] = time.Now()
		}
	}
	close(m.changed)
	m.changed = make(chan struct{})
	return nil
}

func (m *memory) Consume(ctx context.Context, lanes []string, slots int, h ledger.Handler) error {
	var running sync.WaitGroup
	for range slots {
		running.Go(func() {
			for ctx.Err() == nil {
				t, wait, changed := m.take(lanes)
				if wait > 0 {
					select {
					case <-time.After(wait):
					case <-changed:
					case <-ctx.Done():
					}
					continue
				}
				again := h(ctx, t)
				m.mu.Lock()
				if m.tickets[t] = time.Now().Add(again); again == 0 {
					delete(m.tickets, t)
				}
				m.mu.Unlock()
			}
		})
	}
	running.Wait()
	return nil
}

// take returns a ticket that is due, or how long to wait for one.
func (m *memory) take(lanes []string) (t ledger.Ticket, wait time.Duration, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	wait = time.Hour
	for _, lane := range lanes {
		for t, due := range m.tickets {
			if t.Lane != lane || due.IsZero() {
				continue
			}
			if d := time.Until(due); d > 0 {
				wait = min(wait, d)
				continue
			}
			m.tickets[t] = time.Time{}
			return t, 0, nil
		}
	}
	return ledger.Ticket{}, wait, m.changed
}

func (m *memory) Waiting(_ context.Context, lane string) (n int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for t := range m.tickets {
		if t.Lane == lane {
			n++
		}
	}
	return n, nil
}

func (m *memory) Room(context.Context) error { return nil }

// door is a Service on memory, with presets lite (open, 2g), auto (both classes) and one (webp).
type door struct {
	*Service
	memory *memory

	mu    sync.Mutex
	tries []time.Time
	warm  func(ref variant.Ref, try int) pipeline.Warmed
}

func newDoor(t *testing.T, change func(*Config, *Deps)) *door {
	t.Helper()
	d := &door{memory: newMemory()}
	parser, err := variant.NewParser(map[string]string{"lite": "rs:fit:480:0/net:2g", "auto": "w:100/net:auto", "one": "w:100/f:webp"}, false)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Default()
	cfg.Presets, cfg.Workers = []string{"one"}, 2
	deps := Deps{
		Ledger: d.memory, Queue: d.memory, Parser: func() *variant.Parser { return parser },
		Negotiation: variant.Default,
		Known: func(_ context.Context, refs []variant.Ref) []pipeline.Warmed {
			return make([]pipeline.Warmed, len(refs))
		},
		Warm: func(_ context.Context, refs []variant.Ref) []pipeline.Warmed {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.tries = append(d.tries, time.Now())
			out := make([]pipeline.Warmed, len(refs))
			for i, ref := range refs {
				out[i] = d.warm(ref, len(d.tries))
			}
			return out
		},
		Sign: func(_, source, options string, _, _ time.Duration) (string, error) {
			return "https://img.example/" + options, nil
		},
	}
	if change != nil {
		change(&cfg, &deps)
	}
	d.warm = func(ref variant.Ref, _ int) pipeline.Warmed { return stored(ref, 100) }
	if d.Service, err = New(cfg, deps); err != nil {
		t.Fatal(err)
	}
	return d
}

// run runs the workers until the returned function is called, which also closes the door.
func (d *door) run(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return func() { cancel(); running.Wait(); d.Close() }
}

func stored(ref variant.Ref, size int64) pipeline.Warmed {
	return pipeline.Warmed{Ref: ref, Key: ref.Key(), Meta: cache.Meta{
		ContentType: ref.Spec.Format.MediaType(), Size: size, Created: time.Now().UTC().Truncate(time.Second), Attrs: map[string]string{"sb": "1000", "w": "10", "h": "20", "ph": testBlur},
	}}
}

// testBlur is a sample placeholder.
const testBlur = "AAgCBYAAAAAAAAAAAAAAAAAAAAAA"

func refused(ref variant.Ref, kind fault.Kind) pipeline.Warmed {
	return pipeline.Warmed{Ref: ref, Key: ref.Key(), Err: fault.New(kind, "test", "for a test", nil)}
}

// oneCall is a call of one unit with these sources.
func oneCall(sources ...string) unit.Call {
	u := unit.Unit{ID: "du_1"}
	for _, s := range sources {
		u.Images = append(u.Images, unit.Image{Pointer: "/p", Source: s})
	}
	return unit.Call{Units: []unit.Unit{u}}
}

// toldUnit is a unit of a response with its images read.
type toldUnit struct {
	AcceptedUnit
	Images []AcceptedImage
	Data   json.RawMessage
}

// units reads the units of a response.
func units(a Accepted) (all []toldUnit) {
	if a.Units == nil {
		return nil
	}
	for u := range a.Units {
		told := toldUnit{AcceptedUnit: u}
		if u.Images != nil {
			told.Images = slices.Collect(u.Images)
		}
		if u.Data != nil {
			var data bytes.Buffer
			if err := u.Data(&data); err != nil {
				panic(err)
			}
			told.Data = data.Bytes()
		}
		all = append(all, told)
	}
	return all
}
