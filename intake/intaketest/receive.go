package intaketest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake"
)

// delivered is one call of a handler.
type delivered struct {
	intake.Message
	answer chan intake.Outcome // what the handler returns
}

// accept responds with the zero Outcome.
func (d delivered) accept() { d.answer <- intake.Outcome{} }

// receiver runs one Receive; the test decides the outcomes.
type receiver struct {
	t     *testing.T
	door  Door
	got   chan delivered
	stop  context.CancelFunc
	ended chan error
}

// receive opens a door and receives in a loop, as intakes do. It ends with the test.
func receive(t *testing.T, b Broker, slots int) *receiver {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &receiver{t: t, door: b.Open(t), got: make(chan delivered, 100), stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- r.run(ctx, slots) }()
	t.Cleanup(func() {
		stop()
		r.door.Close()
	})
	return r
}

// run receives until ctx ends, as the caller of a failed Receive has to.
func (r *receiver) run(ctx context.Context, slots int) error {
	for {
		err := r.door.Intake.Receive(ctx, slots, r.handle)
		if ctx.Err() != nil {
			return err
		}
		if err == nil {
			return errors.New("it returned nil before its ctx ended")
		}
		timer := time.NewTimer(quiet / 3)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

func (r *receiver) handle(ctx context.Context, m intake.Message) intake.Outcome {
	m.Body = bytes.Clone(m.Body)
	d := delivered{m, make(chan intake.Outcome, 1)}
	r.got <- d
	select {
	case o := <-d.answer:
		return o
	case <-ctx.Done():
		return intake.Outcome{Again: time.Millisecond}
	}
}

// next is the next delivery.
func (r *receiver) next() delivered {
	r.t.Helper()
	select {
	case d := <-r.got:
		return d
	case err := <-r.ended:
		r.t.Fatalf("Receive ended early: %v", err)
	case <-time.After(patience):
		r.t.Fatal("no message was delivered")
	}
	return delivered{}
}

// none fails if anything is delivered for a while.
func (r *receiver) none(why string) {
	r.t.Helper()
	select {
	case d := <-r.got:
		r.t.Fatalf("message %q was delivered: %s", d.ID, why)
	case <-time.After(quiet):
	}
}

// close ends Receive, which must return nil.
func (r *receiver) close() {
	r.t.Helper()
	r.stop()
	select {
	case err := <-r.ended:
		if err != nil {
			r.t.Fatalf("Receive = %v after its ctx ended, want nil", err)
		}
	case <-time.After(patience):
		r.t.Fatal("Receive did not return after its ctx ended")
	}
	r.door.Close()
}

// kill kills the receiver's process: later outcomes have no effect.
func (r *receiver) kill() {
	r.door.Kill()
	r.stop()
}

const jsonType = "application/json"

func message(id string) intake.Message {
	body := `{"id":"` + id + `","image":"https://img.example/` + id + `.jpg"}`
	return intake.Message{ID: id, Type: jsonType, Body: []byte(body)}
}

// same fails unless the delivered message is the one that was sent.
func same(t *testing.T, got, want intake.Message) {
	t.Helper()
	was := []any{got.ID, got.Type, got.Encoding, string(got.Body)}
	if shall := []any{want.ID, want.Type, want.Encoding, string(want.Body)}; !slices.Equal(was, shall) {
		t.Fatalf("delivered %.200q, want %.200q", was, shall)
	}
}

func delivery(t *testing.T, b Broker) {
	r := receive(t, b, 4)
	want := message("m-1")
	want.Encoding = "gzip" // the reader decodes it
	b.Send(t, want)
	d := r.next()
	same(t, d.Message, want)
	d.accept()
	r.close()
}

// bodies: an Intake does not look into bodies.
func bodies(t *testing.T, b Broker) {
	r := receive(t, b, 1)
	all := map[string][]byte{
		"empty": {}, "zeros": make([]byte, 1000), "not-utf8": {0xff, 0xfe, 0x80}, "half": []byte(`{"id":`),
		"brackets": bytes.Repeat([]byte("["), 10_000), "large": bytes.Repeat([]byte("x"), 200_000),
	}
	for id, body := range all {
		b.Send(t, intake.Message{ID: id, Type: jsonType, Body: body})
	}
	for range all {
		d := r.next()
		same(t, d.Message, intake.Message{ID: d.ID, Type: jsonType, Body: all[d.ID]})
		delete(all, d.ID)
		d.accept()
	}
	r.close()
}

func acceptedIsGone(t *testing.T, b Broker) {
	first := receive(t, b, 4)
	for i := range 10 {
		b.Send(t, message(fmt.Sprint("m-", i)))
	}
	for range 10 {
		first.next().accept()
	}
	first.close()
	second := receive(t, b, 4)
	b.Send(t, message("last"))
	d := second.next()
	same(t, d.Message, message("last"))
	d.accept()
	second.none("all were accepted before")
	second.close()
}

// comesAgain makes another process receive the message of the first one.
func comesAgain(t *testing.T, b Broker) {
	t.Helper()
	second := receive(t, b, 4)
	d := second.next()
	same(t, d.Message, message("m-1"))
	d.accept()
	second.close()
}

func killedBefore(t *testing.T, b Broker) {
	first := receive(t, b, 4)
	b.Send(t, message("m-1"))
	same(t, first.next().Message, message("m-1"))
	first.kill()
	comesAgain(t, b)
}

// killedDuring kills a process between acceptance and acknowledgement: the message must be delivered again.
func killedDuring(t *testing.T, b Broker) {
	first := receive(t, b, 4)
	b.Send(t, message("m-1"))
	d := first.next()
	first.door.Kill()
	d.accept()
	first.stop()
	comesAgain(t, b)
}

// stopped ends an intake while a handler runs: the message goes back to the queue.
func stopped(t *testing.T, b Broker) {
	first := receive(t, b, 4)
	b.Send(t, message("m-1"))
	first.next()
	first.close()
	comesAgain(t, b)
}

func again(t *testing.T, b Broker) {
	r := receive(t, b, 2)
	b.Send(t, message("m-1"))
	const wait = time.Second
	for range 3 { // the number of deliveries is not limited
		d := r.next()
		same(t, d.Message, message("m-1"))
		from := time.Now()
		d.answer <- intake.Outcome{Again: wait}
		d = r.next()
		if waited := time.Since(from); waited < wait-50*time.Millisecond {
			t.Fatalf("delivered again after %v, want %v at least", waited, wait)
		}
		d.answer <- intake.Outcome{Again: time.Millisecond}
	}
	b.Send(t, message("other"))
	for seen := map[string]bool{}; len(seen) < 2; { // it does not block others
		d := r.next()
		seen[d.ID] = true
		d.accept()
	}
	r.close()
	if dead := b.Dead(t); len(dead) != 0 {
		t.Errorf("%d dead letters of messages that were to come again", len(dead))
	}
}

func deadLetters(t *testing.T, b Broker) {
	r := receive(t, b, 4)
	b.Send(t, intake.Message{ID: "poison", Type: jsonType, Body: []byte("{\x00")})
	d := r.next()
	d.answer <- intake.Outcome{Reason: fault.BadUnit, Detail: "the unit could not be read: a NUL", Again: time.Second}
	b.Send(t, message("good"))
	d = r.next()
	same(t, d.Message, message("good"))
	d.accept()
	r.close()
	dead := b.Dead(t)
	want := Dead{"poison", []byte("{\x00"), string(fault.BadUnit)}
	if len(dead) != 1 || !reflect.DeepEqual(dead[0], want) {
		t.Errorf("dead letters = %+v, want the one that is poison, as it was sent, with its reason", dead)
	}
	second := receive(t, b, 4)
	second.none("what is dead is not delivered")
	second.close()
}

// duplicates: a duplicate has the same id, so it makes no second job. A broker may drop it.
func duplicates(t *testing.T, b Broker) {
	r := receive(t, b, 4)
	b.Send(t, message("m-1"))
	b.Send(t, message("m-1"))
	b.Send(t, message("m-2"))
	for seen := map[string]bool{}; len(seen) < 2; {
		d := r.next()
		same(t, d.Message, message(d.ID))
		seen[d.ID] = true
		d.accept()
	}
	r.close()
}

func slots(t *testing.T, b Broker) {
	r := receive(t, b, 2)
	for i := range 4 {
		b.Send(t, message(fmt.Sprint("m-", i)))
	}
	held := []delivered{r.next(), r.next()}
	r.none("two slots are taken")
	held[0].accept()
	third := r.next()
	held[1].accept()
	fourth := r.next()
	third.accept()
	fourth.accept()
	r.close()
}

// shared: two processes on one queue both get messages, and each message goes to one of them.
func shared(t *testing.T, b Broker) {
	first, second := receive(t, b, 1), receive(t, b, 1)
	b.Send(t, message("m-1"))
	b.Send(t, message("m-2"))
	one, two := first.next(), second.next()
	if one.ID == two.ID {
		t.Fatalf("message %q went to both", one.ID)
	}
	one.accept()
	two.accept()
	first.close()
	second.close()
}

// restarted: a broker keeps unacknowledged messages over a restart, and the intake reconnects.
func restarted(t *testing.T, b Broker) {
	if b.Restart == nil {
		t.Skip("this broker cannot be restarted")
	}
	r := receive(t, b, 4)
	b.Send(t, message("m-1"))
	b.Send(t, message("m-2"))
	held := []delivered{r.next(), r.next()}
	b.Restart(t)
	for _, d := range held { // these outcomes have no effect any more
		d.accept()
	}
	seen := map[string]bool{}
	for len(seen) < 2 {
		d := r.next()
		same(t, d.Message, message(d.ID))
		seen[d.ID] = true
		d.accept()
	}
	r.close()
}
