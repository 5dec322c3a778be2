package purgetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/purge"
)

// patience is the limit of each wait of the suite.
const patience = 20 * time.Second

// RunLog tests a Log against its contract. open returns an empty Log; each test calls it once.
func RunLog(t *testing.T, open func(t *testing.T) purge.Log) {
	for name, test := range map[string]func(*testing.T, purge.Log){
		"order": order, "from a place": fromAPlace, "another log": anotherLog, "one name": oneName, "end": end, "concurrent": concurrent,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// Follower collects the records of a Log.
type Follower struct {
	t       *testing.T
	Begun   chan purge.Place
	Records chan purge.Record
	Ended   chan error
	Stop    context.CancelFunc
}

// Start follows a log.
func Start(t *testing.T, l purge.Log, after purge.Place) *Follower {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f := &Follower{t, make(chan purge.Place, 1), make(chan purge.Record, 1000), make(chan error, 1), stop}
	go func() {
		f.Ended <- l.Follow(ctx, after, func(p purge.Place) { f.Begun <- p }, func(r purge.Record) { f.Records <- r })
	}()
	return f
}

// Next is the next record.
func (f *Follower) Next() purge.Record {
	f.t.Helper()
	select {
	case r := <-f.Records:
		return r
	case err := <-f.Ended:
		f.t.Fatalf("the log ended: %v", err)
	case <-time.After(patience):
		f.t.Fatal("a record did not come")
	}
	return purge.Record{}
}

// names returns the names of the next n records; their places must increase.
func (f *Follower) names(n int) (out []string) {
	f.t.Helper()
	last := purge.Place{}
	for range n {
		r := f.Next()
		if r.Seq <= last.Seq || last.Epoch != 0 && r.Epoch != last.Epoch || r.Epoch == 0 {
			f.t.Errorf("%+v comes behind %+v", r.Place, last)
		}
		if string(r.Body) != "body of "+r.Name {
			f.t.Errorf("%s has the body %q", r.Name, r.Body)
		}
		last, out = r.Place, append(out, r.Name)
	}
	return out
}

func add(t *testing.T, l purge.Log, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := l.Append(t.Context(), name, []byte("body of "+name)); err != nil {
			t.Fatalf("Append = %v", err)
		}
	}
}

func want(t *testing.T, got []string, names ...string) {
	t.Helper()
	if !slices.Equal(got, names) {
		t.Errorf("got %v, want %v", got, names)
	}
}

func order(t *testing.T, l purge.Log) {
	add(t, l, "purge.a", "purge.b")
	f := Start(t, l, purge.Place{})
	want(t, f.names(2), "purge.a", "purge.b")
	add(t, l, "purge.c", "done.a")
	want(t, f.names(2), "purge.c", "done.a")
}

func fromAPlace(t *testing.T, l purge.Log) {
	add(t, l, "purge.a", "purge.b")
	f := Start(t, l, purge.Place{})
	a := f.Next()
	f.Next()
	f.Stop()
	again := Start(t, l, a.Place)
	if p := <-again.Begun; p.Epoch != a.Epoch || p.Seq != a.Seq+1 {
		t.Errorf("the log stands at %+v, want one behind %+v", p, a.Place)
	}
	want(t, again.names(1), "purge.b")
	add(t, l, "purge.c")
	want(t, again.names(1), "purge.c")
}

// anotherLog follows from a place in a log that was lost.
func anotherLog(t *testing.T, l purge.Log) {
	add(t, l, "purge.a")
	want(t, Start(t, l, purge.Place{Epoch: 1, Seq: 500}).names(1), "purge.a")
	f := Start(t, l, purge.Place{})
	a := f.Next()
	want(t, Start(t, l, purge.Place{Epoch: a.Epoch, Seq: a.Seq + 500}).names(1), "purge.a")
}

func oneName(t *testing.T, l purge.Log) {
	add(t, l, "here.x", "purge.a", "here.x")
	f := Start(t, l, purge.Place{})
	for {
		r := f.Next()
		if r.Name == "here.x" && r.Seq == 3 {
			return
		}
	}
}

func end(t *testing.T, l purge.Log) {
	f := Start(t, l, purge.Place{})
	<-f.Begun
	f.Stop()
	select {
	case err := <-f.Ended:
		if err != nil {
			t.Errorf("Follow = %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Follow does not end with its context")
	}
}

// concurrent runs several appenders and several followers: all must see one order.
func concurrent(t *testing.T, l purge.Log) {
	const writers, each = 4, 10
	var followers []*Follower
	for range 3 {
		f := Start(t, l, purge.Place{})
		<-f.Begun
		followers = append(followers, f)
	}
	for w := range writers {
		go func() {
			for i := range each {
				name := fmt.Sprintf("purge.%d-%d", w, i)
				if err := l.Append(t.Context(), name, []byte("body of "+name)); err != nil {
					t.Errorf("Append = %v", err)
				}
			}
		}()
	}
	first := followers[0].names(writers * each)
	for _, f := range followers[1:] {
		want(t, f.names(writers*each), first...)
	}
}
