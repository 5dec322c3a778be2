package intake_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/intake/intaketest"
)

// memory is a broker in memory. It passes the suite, so tests with it are valid for other brokers. Safe for concurrent
// use.
type memory struct {
	mu      sync.Mutex
	waiting []intake.Message
	dead    []intaketest.Dead
	notices []intake.Notice
	changed chan struct{} // closed at every change
	down    bool
}

// newMemory makes an empty one.
func newMemory() *memory { return &memory{changed: make(chan struct{})} }

// Broker returns the broker for the suite.
func (m *memory) Broker() intaketest.Broker {
	return intaketest.Broker{
		Open:    func(*testing.T) intaketest.Door { return m.Open() },
		Send:    func(_ *testing.T, msg intake.Message) { m.Send(msg) },
		Dead:    func(*testing.T) []intaketest.Dead { return m.Dead() },
		Notices: func(*testing.T) []intake.Notice { return m.Notices() },
	}
}

// Open makes the door of another process.
func (m *memory) Open() intaketest.Door {
	d := &memoryDoor{broker: m, killed: make(chan struct{})}
	kill := sync.OnceFunc(func() { close(d.killed) })
	return intaketest.Door{Intake: d, Outlet: d, Kill: kill, Close: func() {}}
}

// Send puts a message into the queue.
func (m *memory) Send(msg intake.Message) {
	msg.Body = bytes.Clone(msg.Body)
	m.change(func() { m.waiting = append(m.waiting, msg) })
}

// Dead gives the dead letters.
func (m *memory) Dead() []intaketest.Dead {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.dead)
}

// Notices gives what was published.
func (m *memory) Notices() []intake.Notice {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.notices)
}

// Waiting is the number of messages that no door has.
func (m *memory) Waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.waiting)
}

// Down makes every call fail, as with a broker that is down, until Down(false).
func (m *memory) Down(down bool) { m.change(func() { m.down = down }) }

func (m *memory) change(do func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	do()
	close(m.changed)
	m.changed = make(chan struct{})
}

// take returns the next message, or a channel to wait on.
func (m *memory) take() (msg intake.Message, ok bool, changed <-chan struct{}, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return msg, false, nil, errDown
	}
	if len(m.waiting) == 0 {
		return msg, false, m.changed, nil
	}
	msg, m.waiting = m.waiting[0], m.waiting[1:]
	return msg, true, nil, nil
}

var (
	errDown   = errors.New("memory: the broker is down")
	errKilled = errors.New("memory: the connection was cut")
)

// memoryDoor is one process' door.
type memoryDoor struct {
	broker *memory
	killed chan struct{}
}

func (d *memoryDoor) dead() bool {
	select {
	case <-d.killed:
		return true
	default:
		return false
	}
}

// Receive implements intake.Intake.
func (d *memoryDoor) Receive(ctx context.Context, slots int, h intake.Handler) error {
	var handling sync.WaitGroup
	defer handling.Wait()
	free := make(chan struct{}, slots)
	for {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return nil
		case <-d.killed:
			return errKilled
		}
		msg, err := d.wait(ctx)
		if err != nil || ctx.Err() != nil {
			if err == nil && msg != nil {
				d.broker.Send(*msg)
			}
			return err
		}
		handling.Go(func() {
			d.handle(ctx, *msg, h)
			<-free
		})
	}
}

// wait waits for a message; nil = ctx ended.
func (d *memoryDoor) wait(ctx context.Context) (*intake.Message, error) {
	for {
		if d.dead() {
			return nil, errKilled
		}
		msg, ok, changed, err := d.broker.take()
		if ok || err != nil {
			return &msg, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil
		case <-d.killed:
		}
	}
}

// handle calls the handler and applies its outcome, unless the process was killed meanwhile: then the broker delivers
// the message again.
func (d *memoryDoor) handle(ctx context.Context, m intake.Message, h intake.Handler) {
	said := make(chan intake.Outcome, 1)
	go func() {
		own := m
		own.Body = bytes.Clone(m.Body)
		said <- h(ctx, own)
	}()
	var o intake.Outcome
	select {
	case o = <-said:
	case <-d.killed:
	}
	switch {
	case d.dead():
		d.broker.Send(m)
	case o.Reason != "":
		d.broker.change(func() {
			d.broker.dead = append(d.broker.dead, intaketest.Dead{ID: m.ID, Body: m.Body, Reason: string(o.Reason)})
		})
	case o.Again > 0:
		timer := time.NewTimer(o.Again)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		case <-d.killed:
		}
		d.broker.Send(m)
	}
}

// Publish implements intake.Outlet.
func (d *memoryDoor) Publish(ctx context.Context, n intake.Notice) error {
	err := ctx.Err()
	if d.dead() {
		err = errKilled
	}
	d.broker.change(func() {
		if d.broker.down && err == nil {
			err = errDown
		}
		if err == nil {
			d.broker.notices = append(d.broker.notices, n)
		}
	})
	return err
}

func TestMemory(t *testing.T) {
	intaketest.Run(t, func(*testing.T) intaketest.Broker { return newMemory().Broker() })
}
