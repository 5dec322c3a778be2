package intake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pause"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/prewarm/webhook"
)

// Calls accepts calls and returns their verdicts. Implemented by prewarm.Service.
type Calls interface {
	Weigh(call unit.Call) (int, error)
	Accept(ctx context.Context, token, idem string, bodyHash [32]byte, call unit.Call) (prewarm.Accepted, error)
	Results(ctx context.Context, id string, f ledger.ResultFilter, cursor string,
		limit int) ([]ledger.Verdict, string, error)
}

// Caller has the rights of an intake's token.
type Caller struct {
	Name   string      // of the token
	Key    string      // the id of the signing key; "" = the first valid one
	Rights unit.Rights // nil = all
	Bodies []string    // the allowed interpretations of a body; none = all
}

// Broken is the outcome of a broker that does not respond.
const Broken = "broken"

// Observer is notified of the intakes' work; connected to metrics. Safe for concurrent use.
type Observer interface {
	// Delivered counts a message by its outcome: accepted, known (a duplicate), again, dead; or Broken, for a
	// connection that failed.
	Delivered(intake, outcome string)
	// Published counts a notice: ok or failed.
	Published(intake, outcome string)
	// Queued reports how many messages wait (-1 = not known), and whether the intake is paused.
	Queued(intake string, waiting int, paused bool)
}

// Deps is what a Door uses. All fields must be set.
type Deps struct {
	Calls Calls
	// Act starts one call of an intake with the rights of a token. Faults: rate_limited beyond the token's limit,
	// forbidden_scope if it may not post.
	Act func(token string) (Caller, error)
	// Rules returns the rules for calls in force.
	Rules func() unit.Rules
	// Open makes the Intake and the Outlet (nil = none) of a configuration, and a function that closes them. It does
	// not connect.
	Open     func(c Config) (Intake, Outlet, func(), error)
	Ledger   Ledger
	Observer Observer
	Log      *slog.Logger
}

// Door runs all intakes of an instance. Safe for concurrent use. Make one with New, and close it with Close.
type Door struct {
	deps Deps
	all  []*one
	room *semaphore.Weighted // bytes of the bodies and verdicts in work
}

// roomBytes is the memory for the bodies and verdicts in work, of all intakes together. A larger one takes all of it.
const roomBytes = 64 << 20

// variantBytes is the memory of one variant of a call until it is accepted, and of one verdict until it is published.
const variantBytes = 1024

// one is one intake.
type one struct {
	door   *Door
	cfg    Config
	intake Intake
	outlet Outlet // nil = none
	take   func(ctx context.Context, m Message) (known bool, err error)
	close  func()
	state  state

	pausing sync.Mutex // held while the ledger is asked or told about a pause, and that is applied
}

// New makes the Door of some intakes. It receives nothing before Run.
func New(cfgs []Config, deps Deps) (*Door, error) {
	d := &Door{deps: deps, room: semaphore.NewWeighted(roomBytes)}
	for i, c := range cfgs {
		in, out, end, err := deps.Open(c)
		if err != nil {
			d.Close()
			return nil, fmt.Errorf("intakes[%d] (%s): %w", i, c.Name, err)
		}
		o := &one{cfg: c, intake: in, outlet: out, close: end}
		o.take = o.accept
		d.add(o)
	}
	return d, nil
}

func (d *Door) add(o *one) {
	o.door = d
	o.state.init()
	d.all = append(d.all, o)
}

// Add adds an intake whose messages are not Data Units; take handles each. Call it before Run.
func (d *Door) Add(c Config, in Intake, take func(ctx context.Context, m Message) error) {
	d.add(&one{
		cfg: c, intake: in, close: func() {},
		take: func(ctx context.Context, m Message) (known bool, err error) { return false, take(ctx, m) },
	})
}

// Close closes what New opened. Run must have ended.
func (d *Door) Close() {
	for _, o := range d.all {
		o.close()
	}
}

// Run receives messages until ctx ends and all of them are handled.
func (d *Door) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, o := range d.all {
		running.Go(func() {
			if o.learnFirst(ctx) == nil {
				o.run(ctx)
			}
		})
		running.Go(func() { o.watch(ctx) })
	}
	running.Wait()
}

// find returns an intake by its name; nil = there is none.
func (d *Door) find(name string) *one {
	i := slices.IndexFunc(d.all, func(o *one) bool { return o.cfg.Name == name })
	if i < 0 {
		return nil
	}
	return d.all[i]
}

// The pauses before a broker is tried again.
const (
	leastPause = 500 * time.Millisecond
	mostPause  = 15 * time.Second
)

// run receives until ctx ends, again after every failure, and not while the intake is paused.
func (o *one) run(ctx context.Context) {
	for wait := leastPause; ; {
		receiving, leave, ok := o.state.enter(ctx)
		if !ok {
			return
		}
		before := o.state.delivered()
		err := o.intake.Receive(receiving, o.cfg.Slotted(), o.handle)
		leave()
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue // it was paused
		}
		if o.state.delivered() > before {
			wait = leastPause
		}
		o.state.failed(err)
		o.door.deps.Observer.Delivered(o.cfg.Name, Broken)
		o.door.deps.Log.Warn("an intake lost its broker; it connects again", "intake", o.cfg.Name, "after",
			wait, "error", err)
		if pause.For(ctx, wait) != nil {
			return
		}
		wait = min(2*wait, mostPause)
	}
}

// The delays of messages that are refused for now.
const (
	leastAgain = time.Second
	mostAgain  = time.Minute
)

// handle is the Handler of an intake. It never panics, as that would end the process.
func (o *one) handle(ctx context.Context, m Message) (out Outcome) {
	defer func() {
		if p := recover(); p != nil {
			o.door.deps.Log.Error("an intake panicked; the message is delivered again", "intake", o.cfg.Name,
				"message", clip(m.ID), "panic", p, "stack", string(debug.Stack()))
			out = Outcome{Again: mostAgain}
		}
	}()
	known, err := o.caught(ctx, m)
	f := fault.Of(err)
	what := "accepted"
	switch {
	case f == nil && known:
		what = "known"
	case f == nil:
	case ctx.Err() != nil:
		return Outcome{Again: time.Millisecond}
	case f.Kind.Retryable():
		what, out = "again", Outcome{Again: min(max(f.RetryAfter, leastAgain), mostAgain)}
	default:
		what, out = "dead", Outcome{Reason: f.Kind, Detail: f.Public}
	}
	o.state.note(what, f)
	o.door.deps.Observer.Delivered(o.cfg.Name, what)
	if what == "dead" {
		o.door.deps.Log.Warn("an intake got a message that cannot be accepted; it is among the dead letters",
			"intake", o.cfg.Name, "message", clip(m.ID), "kind", f.Kind, "error", err)
	}
	return out
}

// caught takes a message and turns a panic into an error: the same message would panic again.
func (o *one) caught(ctx context.Context, m Message) (known bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.BadUnit, "intake.handle", "reading it ended in an internal error",
				fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	return o.take(ctx, m)
}

// accept accepts one message. known: it was accepted before.
func (o *one) accept(ctx context.Context, m Message) (known bool, err error) {
	if m.Unreadable != "" {
		return false, fault.New(fault.BadUnit, "intake.accept", m.Unreadable, nil)
	}
	if err := nameable(m.ID); err != nil {
		return false, err
	}
	leave, err := o.door.enter(ctx, int64(len(m.Body)))
	if err != nil {
		return false, err
	}
	defer leave()
	who, err := o.door.deps.Act(o.cfg.Token)
	if err != nil {
		return false, err
	}
	call, sum, err := o.read(ctx, m, who)
	if err != nil {
		return false, err
	}
	if m.ID == "" {
		m.ID = "sha256-" + hex.EncodeToString(sum[:])
	}
	call.Request, call.Key, call.Rights = m.ID, who.Key, who.Rights
	if call.Callback == nil && o.outlet != nil {
		call.Callback = &unit.Callback{Outlet: o.cfg.Name, Events: []string{webhook.JobDone}}
	}
	a, err := o.door.deps.Calls.Accept(ctx, o.cfg.Token, "intake "+o.cfg.Name+" "+m.ID, sum, call)
	if err != nil {
		return false, err
	}
	return a.Replayed, o.refuse(ctx, a, m.ID)
}

// maxID is the maximum length of a message's id in bytes.
const maxID = 255

// nameable refuses ids that are not allowed in headers.
func nameable(id string) error {
	plain := func(r rune) bool { return r < 0x20 || r > 0x7e }
	if len(id) > maxID || strings.IndexFunc(id, plain) >= 0 {
		return fault.New(fault.BadOption, "intake.accept",
			"the message's id is not at most 255 printable characters", nil)
	}
	return nil
}

// enter waits for memory for n bytes.
func (d *Door) enter(ctx context.Context, n int64) (leave func(), err error) {
	n = min(n, roomBytes)
	if err := d.room.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return func() { d.room.Release(n) }, nil
}

// read makes a call of a message, and the sum of everything that it depends on.
func (o *one) read(ctx context.Context, m Message, who Caller) (call unit.Call, sum [32]byte, err error) {
	rules := o.door.deps.Rules()
	rules.Bodies = who.Bodies
	text, err := unit.ReadBody(bytes.NewReader(m.Body), m.Encoding, rules.Limits.Body, nil)
	if err != nil {
		return call, sum, err
	}
	query := url.Values{}
	if m.Reading == "" {
		m.Reading = o.cfg.Body
	}
	if m.Reading != "" {
		query.Set("body", m.Reading)
	}
	if call, err = unit.ParseText(ctx, text, m.Type, query, rules); err != nil {
		return call, sum, err
	}
	if call.Variants == nil {
		for _, name := range o.cfg.Presets {
			call.Variants = append(call.Variants, unit.VariantAsk{Name: name})
		}
	}
	call.Return = "none" // there is no response
	if _, err = o.door.deps.Calls.Weigh(call); err != nil {
		return call, sum, err
	}
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\x00%s\x00%s", m.Type, m.Reading, text)
	return call, [32]byte(hash.Sum(nil)), nil
}

// refuse publishes the units of an accepted message that could not be parsed: they appear nowhere else. It does so
// before the message is acknowledged, and again if the message is delivered again.
func (o *one) refuse(ctx context.Context, a prewarm.Accepted, id string) error {
	if o.outlet == nil || !o.cfg.Verdicts.Wants(UnitRefused) || a.Units == nil {
		return nil
	}
	for u := range a.Units {
		if u.Err == nil {
			continue
		}
		n, err := refusedNotice(a.Job, u, id)
		if err == nil {
			err = o.publish(ctx, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// publishTimeout limits the publication of one notice.
const publishTimeout = 15 * time.Second

// publish publishes one notice.
func (o *one) publish(ctx context.Context, n Notice) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	err := o.outlet.Publish(ctx, n)
	what := "ok"
	if err != nil {
		what = "failed"
		o.state.failed(err)
		if fault.KindOf(err) == "" || !errors.As(err, new(*fault.Error)) {
			err = fault.New(fault.ConnectFailed, "intake.publish", "the broker did not take the verdict", err)
		}
	}
	o.door.deps.Observer.Published(o.cfg.Name, what)
	return err
}

// clip shortens a sender's text for the log.
func clip(text string) string {
	if len(text) > maxID {
		return text[:maxID]
	}
	return text
}
