package compat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/variant"
)

func TestCompatAcceptRefuses(t *testing.T) {
	tests := []struct {
		name string
		call Call
		want fault.Kind
	}{
		{"other bucket", Call{Bucket: "goldcrest"}, fault.NotFound},
		{"key outside", compatCall("p/1", "https://c.example/1", "q/2", "https://c.example/2"), fault.BadUnit},
		{"key climbs", compatCall("p/../v1/x", "https://c.example/1"), fault.BadUnit},
		{"too many", compatCall(strings.Split(strings.Repeat("p/x,u,", 11), ",")[:22]...), fault.QueueFull},
		{"nothing", compatCall(), ""},
	}
	for _, tt := range tests {
		c, w := newCompat(t)
		wantFault(t, tt.name, c.Accept(t.Context(), "", tt.call), tt.want)
		if len(w.records(t)) != 0 || len(w.Tickets()) != 0 {
			t.Errorf("%s: %d records, %d tickets are left", tt.name, len(w.records(t)), len(w.Tickets()))
		}
	}
	full := fault.New(fault.DiskFull, "", "", nil)
	c, w := newCompat(t)
	w.ledgerErr = full
	wantFault(t, "ledger", c.Accept(t.Context(), "", compatCall("p/1", "https://c.example/1")), fault.DiskFull)
	w.ledgerErr, w.queueErr = nil, full
	wantFault(t, "queue", c.Accept(t.Context(), "", compatCall("p/1", "https://c.example/1")), fault.DiskFull)
}

func TestCompatOff(t *testing.T) {
	c, err := New(Config{}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	wantFault(t, "no bucket configured", c.Accept(t.Context(), "", compatCall("p/1", "https://c.example/1")), fault.NotFound)
	if c.Reload(Config{Buckets: []Bucket{{Name: "old"}}}) == nil {
		t.Error("a bucket without a sink is taken")
	}
	if _, err := New(Config{Buckets: []Bucket{{}}}, Deps{}); err == nil {
		t.Error("a config that cannot work is taken")
	}
}

func TestCompatPost(t *testing.T) {
	c, w := newCompat(t)
	asked := 0
	room := func(pictures int) error { asked = pictures; return nil }
	post := func(body string) error { return c.Post(t.Context(), "", strings.NewReader(body), room) }
	wantFault(t, "good", post(`{"key_urls_map": {"p/1": "https://c.example/1"}, "quality": 85, "bucket_name": "old"}`), "")
	if len(w.Tickets()) != 1 || asked != 1 {
		t.Errorf("%d tickets, room for %d pictures", len(w.Tickets()), asked)
	}
	full := fault.New(fault.RateLimited, "", "", nil)
	room = func(int) error { return full }
	wantFault(t, "no room", post(`{"key_urls_map": {"p/2": "https://c.example/2"}, "bucket_name": "old"}`), fault.RateLimited)
	if len(w.Tickets()) != 1 {
		t.Errorf("%d tickets after a refused call", len(w.Tickets()))
	}
	room = func(int) error { return nil }
	wantFault(t, "not JSON", post(`{`), fault.BadUnit)
	wantFault(t, "other bucket", post(`{"key_urls_map": {}, "bucket_name": "goldcrest"}`), fault.NotFound)
	if err := c.Reload(Config{}); err != nil {
		t.Fatal(err)
	}
	wantFault(t, "off, and not JSON", post(`{`), fault.NotFound)
}

// A call that is sent again, or whose tickets were lost, costs nothing and loses nothing.
func TestCompatAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := newCompat(t)
		call := compatCall("p/1", "https://c.example/1")
		w.queueErr = errors.New("the machine dies between ledger and queue")
		if c.Accept(t.Context(), "", call) == nil {
			t.Fatal("accepted without a ticket")
		}
		w.queueErr = nil
		for range 3 {
			if err := c.Accept(t.Context(), "", call); err != nil {
				t.Fatal(err)
			}
		}
		if len(w.records(t)) != 1 || len(w.Tickets()) != 1 {
			t.Fatalf("%d records, %d tickets", len(w.records(t)), len(w.Tickets()))
		}
		ticket := w.Tickets()[0]
		w.work(t, c)
		w.expect(t, map[string]string{"old p/1": "image/jpeg small"})
		if again := c.handle(t.Context(), ticket); again != 0 || w.puts != 1 {
			t.Errorf("a late delivery: again %s, %d puts", again, w.puts)
		}
		other := compatCall("p/1", "https://c.example/1")
		other.Quality = 70
		if a, b := (task{Key: "a", Source: "b"}).id(), (task{Key: "a\" \"b"}).id(); a == b {
			t.Error("two wishes share a record")
		}
		accept(t, c, w, other)
		if w.puts != 2 {
			t.Error("another quality is another wish")
		}
	})
}

// TestFault16CompatKilled stops after each step of the work in turn, and starts again.
func TestFault16CompatKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for step := range 4 {
			c, w := newCompat(t)
			if err := c.Accept(t.Context(), "", compatCall("p/1", "https://c.example/1", "p/2", "https://broken.example/")); err != nil {
				t.Fatal(err)
			}
			w.render = func(ref variant.Ref) (pipeline.Answer, error) {
				if strings.Contains(ref.Source, "broken") {
					return pipeline.Answer{}, fault.New(fault.DecodeFailed, "", "", nil)
				}
				return picture("small", "png", 1000), nil
			}
			ctx, kill := context.WithCancel(t.Context())
			render := w.render
			switch step {
			case 0:
				w.ledgerErr = errors.New("gone")
			case 1:
				w.render = func(variant.Ref) (pipeline.Answer, error) { kill(); return pipeline.Answer{}, context.Canceled }
			case 2:
				w.render = func(ref variant.Ref) (pipeline.Answer, error) { kill(); return render(ref) }
				w.sinkErr = context.Canceled
			case 3:
				w.render = func(ref variant.Ref) (pipeline.Answer, error) { w.ledgerErr = errors.New("gone"); return render(ref) }
			}
			for _, ticket := range w.Tickets() {
				if again := c.handle(ctx, ticket); again == 0 {
					t.Errorf("step %d: the ticket is given away", step)
				}
			}
			kill()
			w.ledgerErr, w.sinkErr, w.render = nil, nil, render
			w.work(t, c)
			w.expect(t, map[string]string{"old p/1": "image/jpeg small", "old p/2.broken": markerType + " "})
		}
	})
}

func TestCompatKeepsNoText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := newCompat(t)
		text := "Dear Anna, " + strings.Repeat("the text of a unit ", 100)
		if err := c.Accept(t.Context(), "", compatCall("p/1", text)); err != nil {
			t.Fatal(err)
		}
		for _, r := range w.records(t) {
			if strings.Contains(string(r.Body), "Anna") || len(r.Body) > 200 {
				t.Errorf("the record holds %s", r.Body)
			}
		}
		w.work(t, c)
		w.expect(t, map[string]string{"old p/1.broken": markerType + " "})
		if len(w.warmed) != 0 {
			t.Error("no source, but something was made")
		}
	})
}

func TestCompatLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := newCompat(t)
		var log bytes.Buffer
		c.deps.Log = slog.New(slog.NewTextHandler(&log, nil))
		key := "p/" + strings.Repeat("k", maxKey-2) // no room for the marker's suffix
		w.render = func(variant.Ref) (pipeline.Answer, error) {
			return pipeline.Answer{}, fault.New(fault.DecodeFailed, "", "", nil)
		}
		accept(t, c, w, compatCall(key, "https://c.example/1?token=hush"))
		w.expect(t, map[string]string{})

		if err := c.Accept(t.Context(), "", compatCall("p/1", "https://c.example/1?token=hush")); err != nil {
			t.Fatal(err)
		}
		if err := c.Reload(Config{}); err != nil { // the bucket is removed while the picture waits
			t.Fatal(err)
		}
		w.work(t, c)
		w.expect(t, map[string]string{})

		if err := w.Write(t.Context(), &ledger.Record{Key: "compat.x", Body: []byte("{")}); err != nil {
			t.Fatal(err)
		}
		if again := c.handle(t.Context(), ledger.Ticket{Lane: ledger.LaneCompat, ID: "x"}); again != 0 || len(w.records(t)) != 0 {
			t.Error("a record that cannot be read stays for ever")
		}
		if got := strings.Count(log.String(), "level="); got != 3 || strings.Contains(log.String(), "hush") {
			t.Errorf("%d lines:\n%s", got, log.String())
		}
		if got := fmt.Sprint(w.judged); got != "[failed decode_failed failed internal]" {
			t.Errorf("judged %s", got)
		}
	})
}
