package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/ledger/ledgertest"
)

// open starts an embedded queue that is closed at the end of the test.
func open(t testing.TB, dir string, change func(*Config)) *Queue {
	t.Helper()
	cfg := Default()
	cfg.Dir = dir
	if change != nil {
		change(&cfg)
	}
	q, err := Open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close(context.Background()) })
	if cfg.NATS == "" { // Calls wait 2 s for it, which a busy machine exceeds.
		opened(t, q)
	}
	return q
}

// opened waits until the queue is open.
func opened(t testing.TB, q *Queue) *link {
	t.Helper()
	l, err := q.await(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func rec(key, mark, body string, revision uint64) *ledger.Record {
	return &ledger.Record{Key: key, Mark: mark, Body: []byte(body), Revision: revision}
}

func mustWrite(t testing.TB, q *Queue, records ...*ledger.Record) {
	t.Helper()
	if err := q.Write(t.Context(), records...); err != nil {
		t.Fatal(err)
	}
}

func list(t testing.TB, q *Queue, s ledger.Scan) (got []string) {
	t.Helper()
	err := q.List(t.Context(), s, func(r ledger.Record) bool {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Key, r.Mark, r.Body)))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// A list is complete and has each record once, even if its consumer is lost on the way, for example with its server.
func TestLedgerListsOnAfterALoss(t *testing.T) {
	q := open(t, t.TempDir(), nil)
	var all []*ledger.Record
	for i := range 3 * scanBatch {
		all = append(all, rec(fmt.Sprintf("task.b.%05d", i), "m", "", 0))
	}
	mustWrite(t, q, all...)
	n, lost := 0, 0
	err := q.List(t.Context(), ledger.Scan{Prefix: "task.b"}, func(r ledger.Record) bool {
		if r.Key != all[n].Key {
			t.Fatalf("got %s as record %d", r.Key, n)
		}
		if n++; n == 1 || n == scanBatch+10 {
			for name := range opened(t, q).ledger.ConsumerNames(t.Context()).Name() {
				if err := opened(t, q).ledger.DeleteConsumer(t.Context(), name); err != nil {
					t.Error(err)
				}
				lost++
			}
		}
		return true
	})
	if err != nil || n != len(all) || lost != 2 {
		t.Errorf("got %d of %d records after %d losses, %v", n, len(all), lost, err)
	}
}

func ticket(lane, id string) ledger.Ticket { return ledger.Ticket{Lane: lane, ID: id} }

// A ticket is delivered again after its pause, after a panic, and after its consumer was stopped or has died.
func TestQueueDeliversAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	q := open(t, dir, func(c *Config) { c.AckWait = time.Second })
	if err := q.Put(t.Context(), ticket("normal", "x")); err != nil {
		t.Fatal(err)
	}
	got := make(chan int, 10)
	n := 0
	stop := ledgertest.Consume(t, q, 3, func(ctx context.Context, _ ledger.Ticket) time.Duration {
		n++
		got <- n
		if n == 1 {
			return 50 * time.Millisecond
		}
		<-ctx.Done()
		return time.Millisecond
	})
	<-got
	<-got
	// The second handler keeps the ticket longer than AckWait, by heartbeats.
	select {
	case <-got:
		t.Error("the ticket was delivered again although it was being worked on")
	case <-time.After(2500 * time.Millisecond):
	}
	stop()
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	q = open(t, dir, nil)
	again := make(chan struct{})
	stop = ledgertest.Consume(t, q, 1, func(context.Context, ledger.Ticket) time.Duration { close(again); return 0 })
	defer stop()
	<-again
}

// Two processes never share a directory.
func TestDirectoryIsLocked(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, nil)
	cfg := Default()
	cfg.Dir = dir
	if _, err := Open(t.Context(), cfg, nil); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("got %v, want a refusal", err)
	}
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = open(t, dir, nil)
}

// Errors of NATS become the faults on which callers can act.
func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want fault.Kind
	}{
		{errors.New("nats: timeout"), fault.Overloaded},
		{context.Canceled, fault.Canceled},
		{apiError(10077, "write /x: no space left on device"), fault.DiskFull},
		{apiError(10047, "insufficient storage resources available"), fault.DiskFull},
		{fmt.Errorf("open: %w", syscall.ENOSPC), fault.DiskFull},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.EROFS}, fault.DiskFull},
		{errors.New("nats: API error: description=write meta.inf: no space left on device"), fault.DiskFull},
		{errors.New("nats: no servers available for connection"), fault.Overloaded},
		{syscall.EACCES, fault.Overloaded},
		{apiError(10008, "JetStream system temporarily unavailable"), fault.Overloaded},
	} {
		f := fault.Of(classify("test", tt.err))
		if f.Kind != fault.Canceled && f.RetryAfter == 0 {
			t.Errorf("%v: the caller is not told when to come again", tt.err)
		}
		if got := f.Kind; got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.err, got, tt.want)
		}
	}
}

func apiError(code jetstream.ErrorCode, text string) error {
	return &jetstream.APIError{Code: 503, ErrorCode: code, Description: text}
}
