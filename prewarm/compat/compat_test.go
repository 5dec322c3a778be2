package compat

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/variant"
)

// compatWorld contains the dependencies of a Service in memory: ledger, queue, bucket and pipeline.
type compatWorld struct {
	mu       sync.Mutex
	records  map[string]ledger.Record
	revision uint64
	tickets  []ledger.Ticket
	pauses   []time.Duration
	objects  map[string]string // "bucket key" -> "type body"
	puts     int
	warmed   []string // readable specs in order
	judged   []string

	ledgerErr, queueErr, sinkErr, roomErr error
	render                                func(ref variant.Ref) (pipeline.Answer, error)
}

func (w *compatWorld) Write(_ context.Context, records ...*ledger.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ledgerErr != nil {
		return w.ledgerErr
	}
	var conflict error
	for _, r := range records {
		if w.records[r.Key].Revision != r.Revision {
			conflict = fmt.Errorf("%w: %s", ledger.ErrConflict, r.Key)
			continue
		}
		if r.Body == nil && r.Mark == "" {
			delete(w.records, r.Key)
			continue
		}
		w.revision++
		r.Revision = w.revision
		w.records[r.Key] = *r
	}
	return conflict
}

func (w *compatWorld) Read(_ context.Context, key string) (ledger.Record, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, ok := w.records[key]
	if !ok {
		return ledger.Record{}, ledger.ErrNoRecord
	}
	return r, w.ledgerErr
}

func (w *compatWorld) List(context.Context, ledger.Scan, func(ledger.Record) bool) error { return nil }

func (w *compatWorld) Follow(context.Context, []string, func(), func(ledger.Record)) error {
	return nil
}

// compatQueue is the Queue of a compatWorld. Consume delivers without waiting until the queue is empty.
type compatQueue struct{ *compatWorld }

func (w compatQueue) Put(_ context.Context, tickets ...ledger.Ticket) error {
	if w.queueErr != nil {
		return w.queueErr
	}
	for _, t := range tickets {
		if !slices.Contains(w.tickets, t) {
			w.tickets = append(w.tickets, t)
		}
	}
	return nil
}

func (w compatQueue) Consume(ctx context.Context, lanes []string, _ int, h ledger.Handler) error {
	for n := 0; len(w.tickets) > 0; n++ {
		if n > 1000 {
			return errors.New("tickets come back for ever")
		}
		t := w.tickets[0]
		if !slices.Contains(lanes, t.Lane) {
			return fmt.Errorf("lane %q has no consumer", t.Lane)
		}
		w.tickets = w.tickets[1:]
		if again := h(ctx, t); again > 0 {
			w.pauses = append(w.pauses, again)
			w.tickets = append(w.tickets, t)
		}
	}
	return nil
}

func (w compatQueue) Room(context.Context) error { return w.roomErr }

func (w compatQueue) Waiting(context.Context, string) (int, error) { return len(w.tickets), w.queueErr }

// compatSink is the bucket of a compatWorld.
type compatSink struct{ *compatWorld }

func (w compatSink) Put(_ context.Context, bucket, key string, body []byte, contentType string) error {
	w.puts++
	if w.sinkErr != nil {
		return w.sinkErr
	}
	w.objects[bucket+" "+key] = contentType + " " + string(body)
	return nil
}

func (w *compatWorld) Judged(state, kind string, _ int) {
	w.judged = append(w.judged, strings.TrimSpace(state+" "+kind))
}

func (w *compatWorld) warm(_ context.Context, refs []variant.Ref) []pipeline.Warmed {
	out := make([]pipeline.Warmed, len(refs))
	for i, ref := range refs {
		_, err := w.render(ref)
		out[i] = pipeline.Warmed{Ref: ref, Err: err}
		w.warmed = append(w.warmed, ref.Path())
	}
	return out
}

func (w *compatWorld) get(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
	return w.render(ref)
}

// picture is an answer of the pipeline.
func picture(body, from string, original int) pipeline.Answer {
	var a pipeline.Answer
	a.Entry.Body, a.Entry.ContentType = []byte(body), "image/jpeg"
	a.Entry.Attrs = map[string]string{"sf": from, "sb": fmt.Sprint(original)}
	return a
}

var compatRetry = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}

// newCompat returns a world in which all pictures can be made, and a Service that may write to bucket "old" below "p/".
func newCompat(t *testing.T) (*Service, *compatWorld) {
	t.Helper()
	w := &compatWorld{records: map[string]ledger.Record{}, objects: map[string]string{}}
	w.render = func(variant.Ref) (pipeline.Answer, error) { return picture("small", "png", 1000), nil }
	parser, err := variant.NewParser(map[string]string{"default": "rs:fill:10:10/blur:9"}, true)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{Buckets: []Bucket{{Name: "old", Prefix: "p"}}}, Deps{
		Ledger: w, Queue: compatQueue{w}, Sink: compatSink{w}, Warm: w.warm, Get: w.get, Parser: func() *variant.Parser { return parser },
		Retry: compatRetry, Slots: 2, Backlog: 10, Judged: w.Judged,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, w
}

func compatCall(pairs ...string) Call {
	call := Call{Bucket: "old", Quality: 85}
	for i := 0; i < len(pairs); i += 2 {
		call.Images = append(call.Images, Image{Key: pairs[i], Source: pairs[i+1]})
	}
	return call
}

// accept accepts one call and works on everything that is queued.
func accept(t *testing.T, c *Service, call Call) {
	t.Helper()
	if err := c.Accept(t.Context(), "", call); err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (w *compatWorld) expect(t *testing.T, want map[string]string) {
	t.Helper()
	if !maps.Equal(w.objects, want) {
		t.Errorf("objects %q, want %q", w.objects, want)
	}
	if len(w.records) != 0 {
		t.Errorf("%d records are left", len(w.records))
	}
}

func TestCompatWrites(t *testing.T) {
	c, w := newCompat(t)
	accept(t, c, compatCall("p/1.jpg", "https://c.example/1", "p/2", "https://c.example/2?x"))
	w.expect(t, map[string]string{"old p/1.jpg": "image/jpeg small", "old p/2": "image/jpeg small"})
	ref, _, err := c.own.ParsePath("/rs:fit:500:0/f:jpg/q:85/bg:fff/plain/https://c.example/1")
	if err != nil {
		t.Fatal(err)
	}
	if len(w.warmed) != 2 || w.warmed[0] != ref.Path() {
		t.Errorf("made %q, want %q: no preset has a say", w.warmed, ref.Path())
	}
}

func TestCompatNeverLarger(t *testing.T) {
	tests := []struct {
		from         string
		full, light  string
		want         string
		wantLighter  string
		lighterFails bool
	}{
		{"jpeg", "12345", "1234", "1234", "/rs:fit:500:0/plain/https://c.example/1", false},
		{"png", "12345", "1234", "1234", "/rs:fit:500:0/bg:fff/plain/https://c.example/1", false},
		{"png", "12345", "123456", "12345", "/rs:fit:500:0/bg:fff/plain/https://c.example/1", false},
		{"gif", "12345", "", "12345", "/rs:fit:500:0/bg:fff/plain/https://c.example/1", true},
	}
	for _, tt := range tests {
		c, w := newCompat(t)
		w.render = func(ref variant.Ref) (pipeline.Answer, error) {
			if ref.Spec.Quality == 85 {
				return picture(tt.full, tt.from, 5), nil
			}
			if tt.lighterFails {
				return pipeline.Answer{}, fault.New(fault.TooCostly, "", "", nil)
			}
			return picture(tt.light, tt.from, 5), nil
		}
		accept(t, c, compatCall("p/1", "https://c.example/1"))
		w.expect(t, map[string]string{"old p/1": "image/jpeg " + tt.want})
		ref, _, err := c.own.ParsePath(tt.wantLighter)
		if err != nil {
			t.Fatal(err)
		}
		ref.Spec = ref.Spec.Resolve(variant.Accept{Best: variant.JPEG, Formats: variant.AcceptJPEG})
		if len(w.warmed) != 2 || w.warmed[1] != ref.Path() {
			t.Errorf("%s: made %q, want %q last", tt.from, w.warmed, ref.Path())
		}
	}
}

func TestCompatFaults(t *testing.T) {
	for _, kind := range fault.Kinds() {
		c, w := newCompat(t)
		w.render = func(variant.Ref) (pipeline.Answer, error) {
			return pipeline.Answer{}, fault.New(kind, "test", "x", nil)
		}
		accept(t, c, compatCall("p/1", "https://c.example/1"))
		late := kind == fault.DNSFailed || kind == fault.SourceForbidden
		tries, state := 1, ledger.Broken
		if kind.Retryable() {
			tries, state = len(compatRetry)+1, ledger.Failed
			if ours(fault.New(kind, "", "", nil)) {
				tries = 8
			}
			if late {
				state = ledger.Broken
			}
		}
		want := map[string]string{}
		if state == ledger.Broken {
			want["old p/1.broken"] = markerType + " "
		}
		w.expect(t, want)
		if len(w.warmed) != tries || len(w.pauses) != tries-1 || len(w.judged) != 1 || w.judged[0] != string(state)+" "+string(kind) {
			t.Errorf("%s: %d tries, %d pauses, judged %q; want %d tries, %s", kind, len(w.warmed), len(w.pauses), w.judged, tries, state)
		}
	}
}

func TestCompatRetries(t *testing.T) {
	c, w := newCompat(t)
	left := []error{
		fault.New(fault.SourceError, "", "", nil),
		&fault.Error{Kind: fault.OriginCircuitOpen, RetryAfter: time.Hour},
		fault.New(fault.SourceTimeout, "", "", nil),
	}
	w.render = func(variant.Ref) (pipeline.Answer, error) {
		if len(left) > 0 {
			err := left[0]
			left = left[1:]
			return pipeline.Answer{}, err
		}
		return picture("small", "png", 1000), nil
	}
	accept(t, c, compatCall("p/1", "https://c.example/1"))
	w.expect(t, map[string]string{"old p/1": "image/jpeg small"})
	for i, least := range []time.Duration{5 * time.Second, time.Hour, 2 * time.Minute} {
		if got := w.pauses[i]; got < least || got > least+least/5+1 {
			t.Errorf("pause %d = %s, want %s and up to a fifth", i, got, least)
		}
	}
}

// A bucket that is down does not use up tries of the source, and the picture is not made again because of it.
func TestCompatSinkDown(t *testing.T) {
	c, w := newCompat(t)
	w.sinkErr = errors.New("503 SlowDown")
	if err := c.Accept(t.Context(), "", compatCall("p/1", "https://c.example/1", "p/2", "no url")); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		for _, ticket := range w.tickets {
			if again := c.handle(t.Context(), ticket); again == 0 {
				t.Fatal("given up")
			}
		}
	}
	w.sinkErr = nil
	if err := c.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.expect(t, map[string]string{"old p/1": "image/jpeg small", "old p/2.broken": markerType + " "})

	w.sinkErr = errors.New("403 for ever")
	accept(t, c, compatCall("p/3", "https://c.example/1"))
	if len(w.records) != 0 || w.judged[len(w.judged)-1] != "failed internal" {
		t.Errorf("judged %q", w.judged)
	}
}

func wantFault(t *testing.T, what string, err error, want fault.Kind) {
	t.Helper()
	if got := fault.KindOf(err); got != want {
		t.Errorf("%s: got %v, want %q", what, err, want)
	}
}
