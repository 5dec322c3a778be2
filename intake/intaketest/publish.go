package intaketest

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/intake"
)

func notice(id string) intake.Notice {
	body := []byte(`{"type":"unit.done","id":"` + id + `"}`)
	return intake.Notice{ID: id, Type: intake.UnitDone, Job: "job-1", Message: "m-1", Body: body}
}

// publishing returns a door with an Outlet.
func publishing(t *testing.T, b Broker) Door {
	t.Helper()
	d := b.Open(t)
	t.Cleanup(d.Close)
	if d.Outlet == nil {
		t.Skip("this door has no outlet")
	}
	return d
}

// publish publishes, with retries.
func publish(t *testing.T, o intake.Outlet, n intake.Notice) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		ctx, cancel := context.WithTimeout(context.Background(), patience/2)
		err := o.Publish(ctx, n)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("Publish(%s) = %v", n.ID, err)
		}
		<-time.After(quiet / 3)
	}
}

// ids are the ids of notices, each once, at its first position; every notice must be complete.
func ids(t *testing.T, all []intake.Notice) (out []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, n := range all {
		if want := notice(n.ID); !bytes.Equal(n.Body, want.Body) || n.Type != want.Type || n.Message != want.Message {
			t.Fatalf("the receiver has %+v with body %s, want %+v", n, n.Body, want)
		}
		if !seen[n.ID] {
			seen[n.ID] = true
			out = append(out, n.ID)
		}
	}
	return out
}

// received waits until the receiver has n notices.
func received(t *testing.T, b Broker, n int) []string {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		got := ids(t, b.Notices(t))
		if len(got) >= n {
			return got
		}
		if time.Now().After(end) {
			t.Fatalf("the receiver has %q, want %d", got, n)
		}
		<-time.After(quiet / 10)
	}
}

func outlet(t *testing.T, b Broker) {
	d := publishing(t, b)
	publish(t, d.Outlet, notice("n-1"))
	publish(t, d.Outlet, notice("n-1")) // a duplicate has the same id; a broker may drop it
	publish(t, d.Outlet, notice("n-2"))
	if got := received(t, b, 2); fmt.Sprint(got) != "[n-1 n-2]" {
		t.Errorf("the receiver has %q, want n-1 and n-2", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := d.Outlet.Publish(ctx, notice("n-3")); err == nil {
		t.Fatal("Publish = nil with a ctx that has ended")
	}
}

func outletOrder(t *testing.T, b Broker) {
	d := publishing(t, b)
	var want []string
	for i := range 50 {
		n := notice(fmt.Sprint("n-", i))
		want = append(want, n.ID)
		publish(t, d.Outlet, n)
	}
	if got := received(t, b, len(want)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the receiver has %q, want the order of publication", got)
	}
}

// outletKilled: everything that a killed process had published is there, and the next process continues.
func outletKilled(t *testing.T, b Broker) {
	first := publishing(t, b)
	publish(t, first.Outlet, notice("n-1"))
	first.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := first.Outlet.Publish(ctx, notice("n-2")); err == nil {
		t.Fatal("Publish = nil of a process that nobody hears")
	}
	second := publishing(t, b)
	publish(t, second.Outlet, notice("n-2"))
	received(t, b, 2)
}

func outletRestarted(t *testing.T, b Broker) {
	if b.Restart == nil {
		t.Skip("this broker cannot be restarted")
	}
	d := publishing(t, b)
	publish(t, d.Outlet, notice("n-1"))
	b.Restart(t)
	publish(t, d.Outlet, notice("n-2"))
	received(t, b, 2)
}
