package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// RunStore tests a Store against its contract. open returns an empty one; each test calls it once.
func RunStore(t *testing.T, open func(t *testing.T) ledger.Store) {
	for name, test := range map[string]func(*testing.T, ledger.Store){
		"a record is written only under its revision":    writeUnderRevision,
		"a conflict leaves the other records written":    writeBesideConflict,
		"one of several concurrent writers wins":         writeConcurrently,
		"a deletion removes only its own revision":       deleteRevision,
		"the caller's body is not shared":                ownBodies,
		"a body above the limit is refused":              largeBody,
		"a list is complete, ordered and selected":       listRecords,
		"a follower hears every later write, in order":   followWrites,
		"a follower hears nothing after it has ended":    followEnds,
		"a call whose context has ended is cancelled":    cancelledStore,
		"the time of a record is that of its last write": writeTime,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func record(key, mark, body string, revision uint64) *ledger.Record {
	return &ledger.Record{Key: key, Mark: mark, Body: []byte(body), Revision: revision}
}

func mustWrite(t *testing.T, s ledger.Store, records ...*ledger.Record) {
	t.Helper()
	if err := s.Write(t.Context(), records...); err != nil {
		t.Fatal(err)
	}
}

// list returns the records of a list as text.
func list(t *testing.T, s ledger.Store, scan ledger.Scan) (got []string) {
	t.Helper()
	err := s.List(t.Context(), scan, func(r ledger.Record) bool {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Key, r.Mark, r.Body)))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func writeUnderRevision(t *testing.T, s ledger.Store) {
	const key = "job.20261123.a"
	first := record(key, "one", "body", 0)
	mustWrite(t, s, first)
	if first.Revision == 0 || !first.At.IsZero() {
		t.Errorf("written as revision %d, At %s; want a revision, and At unchanged", first.Revision, first.At)
	}
	for name, r := range map[string]*ledger.Record{
		"it exists":                   record(key, "one", "other", 0),
		"it exists with another mark": record(key, "two", "body", 0),
		"a later revision":            record(key, "one", "other", first.Revision+7),
	} {
		wantConflict(t, s, name, r)
	}
	lost := record(key, "one", "body", 0) // as after a lost response
	if mustWrite(t, s, lost); lost.Revision != first.Revision {
		t.Errorf("the same again has revision %d, want %d", lost.Revision, first.Revision)
	}
	next := record(key, "one", "next", first.Revision)
	if mustWrite(t, s, next); next.Revision <= first.Revision {
		t.Errorf("revision %d follows %d", next.Revision, first.Revision)
	}
	wantConflict(t, s, "an earlier revision", record(key, "one", "late", first.Revision))
	got, err := s.Read(t.Context(), key)
	if err != nil || got.Key != key || got.Mark != "one" || string(got.Body) != "next" || got.Revision != next.Revision {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := s.Read(t.Context(), "job.20261123.b"); !errors.Is(err, ledger.ErrNoRecord) {
		t.Errorf("got %v, want ErrNoRecord", err)
	}
	wantConflict(t, s, "it does not exist", record("job.20261123.b", "m", "b", 3))
}

// wantConflict fails unless a write conflicts and leaves the writer's revision as it was.
func wantConflict(t *testing.T, s ledger.Store, name string, r *ledger.Record) {
	t.Helper()
	revision := r.Revision
	if err := s.Write(t.Context(), r); !errors.Is(err, ledger.ErrConflict) || r.Revision != revision {
		t.Errorf("%s: got %v and revision %d, want a conflict and %d", name, err, r.Revision, revision)
	}
}

func writeBesideConflict(t *testing.T, s ledger.Store) {
	mustWrite(t, s, record("task.a.00001", "old", "old", 0))
	err := s.Write(t.Context(),
		record("task.a.00000", "m", "b", 0), record("task.a.00001", "m", "b", 0), record("task.a.00002", "m", "b", 0))
	if !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	want := []string{"task.a.00001 old old", "task.a.00000 m b", "task.a.00002 m b"}
	if got := list(t, s, ledger.Scan{Prefix: "task.a", Bodies: true}); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// writeConcurrently has several writers count in one record.
func writeConcurrently(t *testing.T, s ledger.Store) {
	const writers, rounds = 4, 10
	mustWrite(t, s, record("count.a", "0 nobody", "", 0))
	add := func(writer int) error {
		r, err := s.Read(t.Context(), "count.a")
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(strings.Fields(r.Mark)[0])
		if err != nil {
			return err
		}
		r.Mark = fmt.Sprint(n+1, " writer ", writer)
		return s.Write(t.Context(), &r)
	}
	var running sync.WaitGroup
	for writer := range writers {
		running.Go(func() {
			for done := 0; done < rounds; {
				err := add(writer)
				if err == nil {
					done++
				} else if !errors.Is(err, ledger.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	if r, err := s.Read(t.Context(), "count.a"); err != nil || strings.Fields(r.Mark)[0] != fmt.Sprint(writers*rounds) {
		t.Errorf("counted %q, %v; want %d", r.Mark, err, writers*rounds)
	}
}

func deleteRevision(t *testing.T, s ledger.Store) {
	first := record("active.j", "a", "", 0)
	mustWrite(t, s, first)
	second := record("active.j", "b", "", first.Revision)
	mustWrite(t, s, second)
	for _, revision := range []uint64{first.Revision, second.Revision + 7} {
		mustWrite(t, s, &ledger.Record{Key: "active.j", Revision: revision})
		if r, err := s.Read(t.Context(), "active.j"); err != nil || r.Mark != "b" {
			t.Fatalf("got %+v, %v; want the later record", r, err)
		}
	}
	for range 2 { // the second deletes what is gone
		mustWrite(t, s, &ledger.Record{Key: "active.j", Revision: second.Revision})
		if _, err := s.Read(t.Context(), "active.j"); !errors.Is(err, ledger.ErrNoRecord) {
			t.Errorf("got %v, want ErrNoRecord", err)
		}
	}
	wantConflict(t, s, "it was deleted", record("active.j", "b", "", second.Revision))
	third := record("active.j", "c", "", 0)
	if mustWrite(t, s, third); third.Revision <= second.Revision {
		t.Errorf("revision %d follows %d", third.Revision, second.Revision)
	}
}

func ownBodies(t *testing.T, s ledger.Store) {
	written := record("task.a.00000", "m", "body", 0)
	mustWrite(t, s, written)
	written.Body[0] = 'X'
	for range 2 {
		r, err := s.Read(t.Context(), written.Key)
		if err != nil || string(r.Body) != "body" {
			t.Fatalf("got %q, %v", r.Body, err)
		}
		r.Body[0] = 'Y'
	}
}

func largeBody(t *testing.T, s ledger.Store) {
	mustWrite(t, s, record("task.a.00000", "m", strings.Repeat("b", ledger.MaxBody), 0))
	err := s.Write(t.Context(), record("task.a.00001", "m", strings.Repeat("b", ledger.MaxBody+1), 0))
	if fault.KindOf(err) != fault.Internal {
		t.Errorf("got %v, want a fault", err)
	}
	if got := list(t, s, ledger.Scan{Prefix: "task"}); len(got) != 1 {
		t.Errorf("%d records are written", len(got))
	}
}

// listRecords lists more records than a store is likely to read at a time.
func listRecords(t *testing.T, s ledger.Store) {
	var all []*ledger.Record
	for i := range 800 {
		all = append(all, record(fmt.Sprintf("task.b.%05d", i), "m", "body", 0))
	}
	mustWrite(t, s, append(all, record("task.bb.00000", "m", "", 0), record("active.x", "a", "", 0))...)
	again, gone := all[2], all[3]
	mustWrite(t, s, &ledger.Record{Key: gone.Key, Revision: gone.Revision}, again)
	var want, bodies []string
	for _, r := range append(slices.Concat(all[:2], all[4:]), again) {
		want, bodies = append(want, r.Key+" m"), append(bodies, r.Key+" m body")
	}
	if got := list(t, s, ledger.Scan{Prefix: "task.b"}); !slices.Equal(got, want) {
		t.Errorf("got %d records, want %d, or in another order", len(got), len(want))
	}
	if got := list(t, s, ledger.Scan{Prefix: "task.b", Bodies: true}); !slices.Equal(got, bodies) {
		t.Errorf("got %d records with bodies, want %d, or in another order", len(got), len(bodies))
	}
	if got := list(t, s, ledger.Scan{Prefix: "nothing"}); got != nil {
		t.Errorf("got %q of a prefix without records", got)
	}
	if got := list(t, s, ledger.Scan{Prefix: "task", Since: time.Now().Add(time.Hour)}); got != nil {
		t.Errorf("got %d records of the future", len(got))
	}
	if got := list(t, s, ledger.Scan{Prefix: "task.bb", Since: time.Now().Add(-time.Hour)}); len(got) != 1 {
		t.Errorf("got %d records of the last hour, want 1", len(got))
	}
	n := 0
	err := s.List(t.Context(), ledger.Scan{Prefix: "task.b"}, func(ledger.Record) bool { n++; return n < 7 })
	if err != nil || n != 7 {
		t.Errorf("a stopped list yields %d, %v; want 7", n, err)
	}
}

// follow starts a follower of tasks and jobs. stop ends it.
func follow(t *testing.T, s ledger.Store) (heard <-chan string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	started, out, ended := make(chan struct{}), make(chan string, 100), make(chan error, 1)
	go func() {
		ended <- s.Follow(ctx, []string{"task", "job"}, func() { close(started) }, func(r ledger.Record) {
			out <- fmt.Sprintf("%s %s %d", r.Key, r.Mark, len(r.Body))
		})
	}()
	<-started
	return out, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("got %v at the end", err)
		}
	}
}

func followWrites(t *testing.T, s ledger.Store) {
	mustWrite(t, s, record("task.c.00000", "before", "", 0))
	heard, stop := follow(t, s)
	defer stop()
	first := record("task.c.00001", "one", "body", 0)
	mustWrite(t, s, first, record("idem.x", "other", "", 0), record("tasks.c.0", "other", "", 0))
	mustWrite(t, s, &ledger.Record{Key: first.Key, Revision: first.Revision}, record("job.20261123.c", "two", "body", 0))
	for i := range 20 {
		mustWrite(t, s, record(fmt.Sprint("task.c.1000", i), "m", "", 0))
	}
	want := []string{"task.c.00001 one 0", "job.20261123.c two 0"}
	for i := range 20 {
		want = append(want, fmt.Sprintf("task.c.1000%d m 0", i))
	}
	var got []string
	if got = append(got, <-heard); got[0] != want[0] { // it may be deleted before it is heard
		want = want[1:]
	}
	for len(got) < len(want) {
		got = append(got, <-heard)
	}
	if !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func followEnds(t *testing.T, s ledger.Store) {
	heard, stop := follow(t, s)
	mustWrite(t, s, record("task.c.00001", "one", "", 0))
	<-heard
	stop()
	mustWrite(t, s, record("task.c.00002", "two", "", 0))
	again, stop := follow(t, s)
	defer stop()
	mustWrite(t, s, record("task.c.00003", "three", "", 0))
	if got := <-again; got != "task.c.00003 three 0" {
		t.Errorf("heard %q", got)
	}
	select {
	case got := <-heard:
		t.Errorf("heard %q after the end", got)
	default:
	}
}

func cancelledStore(t *testing.T, s ledger.Store) {
	mustWrite(t, s, record("task.a.00000", "m", "", 0))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, readErr := s.Read(ctx, "task.a.00000")
	for name, err := range map[string]error{
		"Write": s.Write(ctx, record("task.a.00001", "m", "", 0)),
		"Read":  readErr,
		"List":  s.List(ctx, ledger.Scan{Prefix: "task"}, func(ledger.Record) bool { return true }),
	} {
		if fault.KindOf(err) != fault.Canceled {
			t.Errorf("%s: got %v, want canceled", name, err)
		}
	}
	if err := s.Follow(ctx, []string{"task"}, func() {}, func(ledger.Record) {}); err != nil {
		t.Errorf("Follow: got %v", err)
	}
}

func writeTime(t *testing.T, s ledger.Store) {
	r := record("task.a.00000", "m", "", 0)
	var last time.Time
	for i := range 3 {
		r.Mark, r.At = fmt.Sprint(i), time.Unix(0, 0)
		mustWrite(t, s, r)
		got, err := s.Read(t.Context(), r.Key)
		if err != nil || got.At.Before(last) || time.Since(got.At).Abs() > time.Minute {
			t.Errorf("written at %s, %v", got.At, err)
		}
		last = got.At
	}
}
