package compat

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/ledger/ledgertest"
	"github.com/goldcrest/goldcrest/variant"
)

// compatWorld contains the dependencies of a Service in memory: ledger, queue, bucket and pipeline.
type compatWorld struct {
	*ledgertest.Memory
	pauses  []time.Duration
	objects map[string]string // "bucket key" -> "type body"
	puts    int
	warmed  []string // readable specs in order
	judged  []string

	ledgerErr, queueErr, sinkErr error
	render                       func(ref variant.Ref) (pipeline.Answer, error)
}

func (w *compatWorld) Write(ctx context.Context, records ...*ledger.Record) error {
	if w.ledgerErr != nil {
		return w.ledgerErr
	}
	return w.Memory.Write(ctx, records...)
}

func (w *compatWorld) Read(ctx context.Context, key string) (ledger.Record, error) {
	if w.ledgerErr != nil {
		return ledger.Record{}, w.ledgerErr
	}
	return w.Memory.Read(ctx, key)
}

func (w *compatWorld) Put(ctx context.Context, tickets ...ledger.Ticket) error {
	if w.queueErr != nil {
		return w.queueErr
	}
	return w.Memory.Put(ctx, tickets...)
}

// Consume notes the pauses of tickets.
func (w *compatWorld) Consume(ctx context.Context, lanes []string, slots int, h ledger.Handler) error {
	return w.Memory.Consume(ctx, lanes, slots, func(ctx context.Context, t ledger.Ticket) time.Duration {
		again := h(ctx, t)
		if again > 0 {
			w.pauses = append(w.pauses, again)
		}
		return again
	})
}

// records returns all records with their bodies.
func (w *compatWorld) records(t *testing.T) (all []ledger.Record) {
	t.Helper()
	scan := ledger.Scan{Prefix: strings.TrimSuffix(ledger.PictureRecords, "."), Bodies: true}
	if err := w.List(t.Context(), scan, func(r ledger.Record) bool { all = append(all, r); return true }); err != nil {
		t.Fatal(err)
	}
	return all
}

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
	w := &compatWorld{Memory: ledgertest.New(), objects: map[string]string{}}
	w.render = func(variant.Ref) (pipeline.Answer, error) { return picture("small", "png", 1000), nil }
	parser, err := variant.NewParser(map[string]string{"default": "rs:fill:10:10/blur:9"}, true)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{Buckets: []Bucket{{Name: "old", Prefix: "p"}}}, Deps{
		Ledger: w, Queue: w, Sink: compatSink{w}, Warm: w.warm, Get: w.get, Parser: func() *variant.Parser { return parser },
		Retry: compatRetry, Slots: 1, Backlog: 10, Judged: w.Judged,
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
func accept(t *testing.T, c *Service, w *compatWorld, call Call) {
	t.Helper()
	if err := c.Accept(t.Context(), "", call); err != nil {
		t.Fatal(err)
	}
	w.work(t, c)
}

// work runs the service until nothing is queued. It needs a synctest bubble, in which pauses take no time.
func (w *compatWorld) work(t *testing.T, c *Service) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	late := time.Now().Add(30 * 24 * time.Hour)
	for synctest.Wait(); len(w.Tickets()) > 0 && time.Now().Before(late); time.Sleep(time.Hour) {
	}
	if left := w.Tickets(); len(left) > 0 {
		t.Errorf("the tickets %v come back for ever", left)
	}
	cancel()
	running.Wait()
}

func (w *compatWorld) expect(t *testing.T, want map[string]string) {
	t.Helper()
	if !maps.Equal(w.objects, want) {
		t.Errorf("objects %q, want %q", w.objects, want)
	}
	if left := w.records(t); len(left) != 0 {
		t.Errorf("%d records are left", len(left))
	}
}

func TestCompatWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := newCompat(t)
		accept(t, c, w, compatCall("p/1.jpg", "https://c.example/1", "p/2", "https://c.example/2?x"))
		w.expect(t, map[string]string{"old p/1.jpg": "image/jpeg small", "old p/2": "image/jpeg small"})
		ref, _, err := c.own.ParsePath("/rs:fit:500:0/f:jpg/q:85/bg:fff/plain/https://c.example/1")
		if err != nil {
			t.Fatal(err)
		}
		if len(w.warmed) != 2 || w.warmed[0] != ref.Path() {
			t.Errorf("made %q, want %q: no preset has a say", w.warmed, ref.Path())
		}
	})
}

func TestCompatNeverLarger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
			accept(t, c, w, compatCall("p/1", "https://c.example/1"))
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
	})
}

func TestCompatFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, kind := range fault.Kinds() {
			c, w := newCompat(t)
			w.render = func(variant.Ref) (pipeline.Answer, error) {
				return pipeline.Answer{}, fault.New(kind, "test", "x", nil)
			}
			accept(t, c, w, compatCall("p/1", "https://c.example/1"))
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
	})
}

func TestCompatRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
		accept(t, c, w, compatCall("p/1", "https://c.example/1"))
		w.expect(t, map[string]string{"old p/1": "image/jpeg small"})
		for i, least := range []time.Duration{5 * time.Second, time.Hour, 2 * time.Minute} {
			if got := w.pauses[i]; got < least || got > least+least/5+1 {
				t.Errorf("pause %d = %s, want %s and up to a fifth", i, got, least)
			}
		}
	})
}

// A bucket that is down does not use up tries of the source, and the picture is not made again because of it.
func TestCompatSinkDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := newCompat(t)
		w.sinkErr = errors.New("503 SlowDown")
		if err := c.Accept(t.Context(), "", compatCall("p/1", "https://c.example/1", "p/2", "no url")); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			for _, ticket := range w.Tickets() {
				if again := c.handle(t.Context(), ticket); again == 0 {
					t.Fatal("given up")
				}
			}
		}
		w.sinkErr = nil
		w.work(t, c)
		w.expect(t, map[string]string{"old p/1": "image/jpeg small", "old p/2.broken": markerType + " "})

		w.sinkErr = errors.New("403 for ever")
		accept(t, c, w, compatCall("p/3", "https://c.example/1"))
		if len(w.records(t)) != 0 || w.judged[len(w.judged)-1] != "failed internal" {
			t.Errorf("judged %q", w.judged)
		}
	})
}

func wantFault(t *testing.T, what string, err error, want fault.Kind) {
	t.Helper()
	if got := fault.KindOf(err); got != want {
		t.Errorf("%s: got %v, want %q", what, err, want)
	}
}
