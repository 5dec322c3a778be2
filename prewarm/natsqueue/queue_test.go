package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
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

// A record is written only under its revision, and is read as it was written.
func TestLedgerWritesUnderItsRevision(t *testing.T) {
	q := open(t, t.TempDir(), nil)
	first := rec("job.20261123.a", "one", "body", 0)
	mustWrite(t, q, first)
	for _, tt := range []struct {
		name     string
		revision uint64
		body     string
		want     error
	}{
		{"there is one already", 0, "other", ledger.ErrConflict},
		{"another revision", first.Revision + 7, "other", ledger.ErrConflict},
		{"the very same again, as after a lost answer", 0, "body", nil},
		{"its revision", first.Revision, "next", nil},
		{"a revision that is past", first.Revision, "late", ledger.ErrConflict},
	} {
		mark := "one"
		err := q.Write(t.Context(), rec("job.20261123.a", mark, tt.body, tt.revision))
		if !errors.Is(err, tt.want) || (tt.want == nil && err != nil) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	got, err := q.Read(t.Context(), "job.20261123.a")
	if err != nil || string(got.Body) != "next" || got.Mark != "one" || got.Revision <= first.Revision || time.Since(got.At) > time.Minute {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := q.Read(t.Context(), "job.20261123.b"); !errors.Is(err, ledger.ErrNoRecord) {
		t.Errorf("got %v, want ErrNoRecord", err)
	}
}

// A conflict of one record does not prevent the others from being written.
func TestLedgerWritesTheRestBesideAConflict(t *testing.T) {
	q := open(t, t.TempDir(), nil)
	mustWrite(t, q, rec("task.a.00001", "old", "old", 0))
	err := q.Write(t.Context(), rec("task.a.00000", "m", "b", 0), rec("task.a.00001", "m", "b", 0), rec("task.a.00002", "m", "b", 0))
	if !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	if got := list(t, q, ledger.Scan{Prefix: "task.a", Bodies: true}); !slices.Equal(got, []string{"task.a.00001 old old", "task.a.00000 m b", "task.a.00002 m b"}) {
		t.Errorf("got %q", got)
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

// Lists are complete, in order of writing, limited to their prefix, and have bodies only if requested.
func TestLedgerLists(t *testing.T) {
	q := open(t, t.TempDir(), nil)
	var all []*ledger.Record
	for i := range 3*scanBatch + 5 {
		all = append(all, rec(fmt.Sprintf("task.b.%05d", i), "m", "body", 0))
	}
	mustWrite(t, q, append(all, rec("task.bb.00000", "m", "", 0), rec("active.x", "a", "", 0))...)
	gone := all[3]
	mustWrite(t, q, &ledger.Record{Key: gone.Key, Revision: gone.Revision})
	got := list(t, q, ledger.Scan{Prefix: "task.b"})
	if len(got) != len(all)-1 || got[0] != "task.b.00000 m" || got[3] != "task.b.00004 m" {
		t.Errorf("got %d records, beginning with %q; want %d", len(got), got[:4], len(all)-1)
	}
	if got := list(t, q, ledger.Scan{Prefix: "nothing"}); got != nil {
		t.Errorf("got %q of a prefix that nothing has", got)
	}
	if got := list(t, q, ledger.Scan{Prefix: "task", Since: time.Now().Add(time.Hour)}); got != nil {
		t.Errorf("got %d records of the future", len(got))
	}
	n := 0
	err := q.List(t.Context(), ledger.Scan{Prefix: "task.b"}, func(ledger.Record) bool { n++; return n < 7 })
	if err != nil || n != 7 {
		t.Errorf("a listing that was stopped gave %d, %v", n, err)
	}
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

// A deletion removes the named revision, and no later one.
func TestLedgerDeletes(t *testing.T) {
	q := open(t, t.TempDir(), nil)
	old := rec("active.j", "a", "", 0)
	mustWrite(t, q, old)
	late := *old
	mustWrite(t, q, rec("active.j", "b", "", old.Revision))
	mustWrite(t, q, &ledger.Record{Key: "active.j", Revision: late.Revision})
	r, err := q.Read(t.Context(), "active.j")
	if err != nil || r.Mark != "b" {
		t.Fatalf("got %+v, %v; want the later record", r, err)
	}
	mustWrite(t, q, &ledger.Record{Key: "active.j", Revision: r.Revision})
	mustWrite(t, q, &ledger.Record{Key: "active.j", Revision: r.Revision})
	if _, err := q.Read(t.Context(), "active.j"); !errors.Is(err, ledger.ErrNoRecord) {
		t.Errorf("got %v, want ErrNoRecord", err)
	}
	mustWrite(t, q, rec("active.j", "c", "", 0)) // a deleted key is like one that never existed
}

// A follower learns of every write after started was called, from any process.
func TestLedgerFollow(t *testing.T) {
	q := open(t, t.TempDir(), nil)
	mustWrite(t, q, rec("task.c.00000", "before", "", 0))
	ctx, cancel := context.WithCancel(t.Context())
	started, heard, ended := make(chan struct{}), make(chan string, 10), make(chan error, 1)
	go func() {
		ended <- q.Follow(ctx, []string{"task", "job"}, func() { close(started) }, func(r ledger.Record) {
			heard <- fmt.Sprintf("%s %s %d", r.Key, r.Mark, len(r.Body))
		})
	}()
	<-started
	mustWrite(t, q, rec("task.c.00001", "one", "body", 0), rec("idem.x", "no", "", 0), rec("job.20261123.c", "two", "body", 0))
	for _, want := range []string{"task.c.00001 one 0", "job.20261123.c two 0"} {
		if got := <-heard; got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("got %v at the end", err)
	}
}

// consume runs a consumer until the returned function is called.
func consume(t testing.TB, q *Queue, slots int, h ledger.Handler) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := q.Consume(ctx, []string{ledger.LaneHigh, ledger.LaneNormal, ledger.LaneLow}, slots, h); err != nil {
			t.Error(err)
		}
	})
	return func() { cancel(); running.Wait() }
}

func ticket(lane, id string) ledger.Ticket { return ledger.Ticket{Lane: lane, ID: id} }

// Earlier lanes go first. A ticket is in the queue once, and is deleted when its handler says so.
func TestQueueLanes(t *testing.T) {
	q := open(t, t.TempDir(), nil)
	for range 2 {
		err := q.Put(t.Context(), ticket("low", "a.1"), ticket("normal", "b.1"), ticket("normal", "b.2"), ticket("high", "c.1"))
		if err != nil {
			t.Fatal(err)
		}
	}
	for lane, n := range map[string]int{"high": 1, "normal": 2, "low": 1} {
		wantWaiting(t, q, lane, n)
	}
	got := make(chan string, 10)
	note := func(_ context.Context, k ledger.Ticket) time.Duration {
		got <- k.Lane + " " + k.ID
		return 0
	}
	stop := consume(t, q, 1, note)
	for _, want := range []string{"high c.1", "normal b.1", "normal b.2", "low a.1"} {
		if k := <-got; k != want {
			t.Errorf("got %s, want %s", k, want)
		}
	}
	stop()
	for _, lane := range []string{"high", "normal", "low"} {
		wantWaiting(t, q, lane, 0)
	}
	if err := q.Put(t.Context(), ticket("low", "a.1")); err != nil {
		t.Fatal(err)
	}
	defer consume(t, q, 1, note)()
	if k := <-got; k != "low a.1" {
		t.Errorf("a ticket that was done with cannot be put again: got %s", k)
	}
}

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
	stop := consume(t, q, 3, func(ctx context.Context, _ ledger.Ticket) time.Duration {
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
	stop = consume(t, q, 1, func(context.Context, ledger.Ticket) time.Duration { close(again); return 0 })
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
