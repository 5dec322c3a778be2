package intake_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/prewarm/webhook"
)

// calls is the accept path: it makes one job of each idempotency key, as prewarm.Service does.
type calls struct {
	mu   sync.Mutex
	jobs map[string][32]byte
	got  []unit.Call
	err  error // what Accept answers
	boom bool  // Accept panics
}

func (c *calls) Weigh(call unit.Call) (int, error) { return len(call.Units), nil }

func (c *calls) Accept(_ context.Context, token, idem string, sum [32]byte,
	call unit.Call) (a prewarm.Accepted, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.boom {
		panic("a bug")
	}
	if c.err != nil {
		return a, c.err
	}
	if known, ok := c.jobs[token+idem]; ok && known != sum {
		return a, fault.New(fault.IdempotencyConflict, "calls.Accept", "another body", nil)
	} else if ok {
		return prewarm.Accepted{Job: ledger.Job{ID: "job"}, Replayed: true}, nil
	}
	c.jobs[token+idem] = sum
	c.got = append(c.got, call)
	a = prewarm.Accepted{Job: ledger.Job{ID: "job"}, Units: func(yield func(prewarm.AcceptedUnit) bool) {
		for i, u := range call.Units {
			if u.Err != nil && !yield(prewarm.AcceptedUnit{Index: i, ID: u.ID, Err: u.Err}) {
				return
			}
		}
	}}
	return a, nil
}

func (c *calls) Results(_ context.Context, _ string, f ledger.ResultFilter, cursor string,
	_ int) ([]ledger.Verdict, string, error) {
	if f.For.Name != "shop" {
		return nil, "", fault.New(fault.NoSuchJob, "calls.Results", "not yours", nil)
	}
	row := func(i int, state ledger.State) ledger.Verdict {
		return ledger.Verdict{Unit: i, UnitID: fmt.Sprint("u", i), Source: strings.Repeat("s", 3000), State: state}
	}
	if cursor == "" { // Rows of one unit may come apart: two units share a picture.
		return []ledger.Verdict{row(1, ledger.Made), row(0, ledger.Broken)}, "next", nil
	}
	return slices.Repeat([]ledger.Verdict{row(1, ledger.Broken)}, 100), "", nil
}

// meter counts by outcome.
type meter struct {
	mu     sync.Mutex
	counts map[string]int
	boom   bool // the next count panics
}

func (m *meter) add(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.boom {
		m.boom = false
		panic("a bug")
	}
	m.counts[what]++
}
func (m *meter) Delivered(_, outcome string) { m.add(outcome) }
func (m *meter) Published(_, outcome string) { m.add("published " + outcome) }
func (m *meter) Queued(string, int, bool)    {}

// rig is a door with one intake on a broker in memory.
type rig struct {
	broker *memory
	calls  *calls
	meter  *meter
	door   *intake.Door
	limit  error // what Act answers
	ledger *pauses
	log    bytes.Buffer
}

func newRig(t *testing.T, change func(*intake.Config)) *rig {
	t.Helper()
	return newRigOn(t, change, newMemory(), &pauses{})
}

// newRigOn is newRig for a further instance on the same broker and ledger.
func newRigOn(t *testing.T, change func(*intake.Config), broker *memory, kept *pauses) *rig {
	t.Helper()
	r := &rig{broker: broker, calls: &calls{jobs: map[string][32]byte{}},
		meter: &meter{counts: map[string]int{}}, ledger: kept}
	cfg := intake.Config{Name: "shop", Token: "shop", Verdicts: intake.Verdicts{To: "verdicts"}}
	if change != nil {
		change(&cfg)
	}
	var err error
	r.door, err = intake.New([]intake.Config{cfg}, intake.Deps{
		Calls: r.calls, Rules: func() unit.Rules { return unit.Rules{Limits: unit.DefaultLimits()} },
		Act: func(string) (intake.Caller, error) { return intake.Caller{Key: "k"}, r.limit },
		Open: func(intake.Config) (intake.Intake, intake.Outlet, func(), error) {
			d := r.broker.Open()
			return d.Intake, d.Outlet, d.Close, nil
		},
		Ledger: r.ledger, Observer: r.meter, Log: slog.New(slog.NewTextHandler(&r.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// inBubble makes a rig and runs it.
func inBubble(t *testing.T, change func(*intake.Config), do func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, change)
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r.door.Run(ctx)
		}()
		do(r)
		stop()
		<-ended
		r.door.Close()
	})
}

func send(r *rig, id, body string) {
	r.broker.Send(intake.Message{ID: id, Body: []byte(body)})
	synctest.Wait()
}

const good = `{"id":"u1","photo":"https://img.example/1.jpg"}`

func TestMessageBecomesOneJob(t *testing.T) {
	inBubble(t, func(c *intake.Config) { c.Presets = []string{"lite"} }, func(r *rig) {
		send(r, "m-1", good)
		send(r, "m-1", good) // It comes twice.
		send(r, "m-2", good)
		if len(r.calls.got) != 2 || r.meter.counts["accepted"] != 2 || r.meter.counts["known"] != 1 {
			t.Fatalf("%d calls, %v; want 2 jobs of 3 messages", len(r.calls.got), r.meter.counts)
		}
		call := r.calls.got[0]
		if call.Request != "m-1" || call.Key != "k" || call.Callback == nil ||
			call.Callback.Outlet != "shop" || call.Callback.URL != "" ||
			len(call.Variants) != 1 || call.Variants[0].Name != "lite" || len(call.Units) != 1 ||
			call.Units[0].ID != "u1" {
			t.Errorf("call = %+v", call)
		}
		if r.broker.Waiting() != 0 || len(r.broker.Dead()) != 0 {
			t.Error("a message is left")
		}
	})
}

func TestMessageWithoutID(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		send(r, "", good)
		send(r, "", good)
		send(r, "", strings.Replace(good, "u1", "u2", 1))
		if len(r.calls.got) != 2 || !strings.HasPrefix(r.calls.got[0].Request, "sha256-") {
			t.Errorf("%d calls, want 2: equal bodies are one message", len(r.calls.got))
		}
	})
}

// What can never be accepted is dead at once, with its reason, and keeps nobody else out.
func TestUnacceptableMessageIsDeadLetteredAtOnce(t *testing.T) {
	inBubble(t, func(c *intake.Config) { c.Body = unit.BodyUnit }, func(r *rig) {
		send(r, "m-0", good)
		bad := []intake.Message{
			{ID: "empty"}, {ID: "text", Body: []byte("hello")}, {ID: "array", Body: []byte("[" + good + "]")},
			{ID: "deep", Body: []byte(strings.Repeat("[", 1000))}, {ID: "half", Body: []byte(good[:20])},
			{ID: "gzip", Body: []byte(good), Encoding: "gzip"}, {ID: "odd", Body: []byte(good), Encoding: "odd"},
			{ID: "celery", Body: []byte(good), Unreadable: "it calls another task"},
			{ID: "line\nbreak", Body: []byte(good)}, {ID: strings.Repeat("x", 300), Body: []byte(good)},
			{ID: "m-0", Body: []byte(strings.Replace(good, "u1", "u2", 1))}, // The id of another message.
		}
		for _, m := range bad {
			r.broker.Send(m)
		}
		send(r, "m-1", good)
		synctest.Wait()
		dead := r.broker.Dead()
		if len(dead) != len(bad) || len(r.calls.got) != 2 || r.meter.counts["dead"] != len(bad) {
			t.Errorf("%d dead of %d, %d accepted, %v: %+v", len(dead), len(bad), len(r.calls.got), r.meter.counts, dead)
		}
		for _, d := range dead {
			if d.Reason == "" || d.Reason == string(fault.Internal) {
				t.Errorf("%q is dead for %q", d.ID, d.Reason)
			}
		}
	})
}

// Full means later, never lost: the message waits as long as it is told to, a minute at most.
func TestMessageWaitsWhileTheQueueIsFull(t *testing.T) {
	for _, kind := range []fault.Kind{fault.QueueFull, fault.QuotaExceeded, fault.DiskFull,
		fault.Overloaded, fault.Internal} {
		t.Run(string(kind), func(t *testing.T) {
			inBubble(t, nil, func(r *rig) {
				f := fault.New(kind, "calls.Accept", "full", nil)
				f.RetryAfter = 30 * time.Second
				r.calls.err = f
				send(r, "m-1", good)
				time.Sleep(29 * time.Second)
				synctest.Wait()
				if n := r.meter.counts["again"]; n != 1 {
					t.Errorf("tried %d times in 29 s, want once", n)
				}
				r.calls.mu.Lock()
				r.calls.err = nil
				r.calls.mu.Unlock()
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if r.meter.counts["accepted"] != 1 || len(r.broker.Dead()) != 0 {
					t.Errorf("%v, %d dead; want it accepted once there was room", r.meter.counts, len(r.broker.Dead()))
				}
			})
		})
	}
}

func TestTokensLimit(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.limit = fault.New(fault.RateLimited, "Act", "too often", nil)
		send(r, "m-1", good)
		if len(r.calls.got) != 0 || r.meter.counts["again"] != 1 {
			t.Errorf("%d calls, %v: past the token's limit nothing is accepted", len(r.calls.got), r.meter.counts)
		}
	})
}

// A batch with units that cannot be read is accepted, and the outlet is told of them before the acknowledgement.
func TestRefusedUnits(t *testing.T) {
	inBubble(t, func(c *intake.Config) { c.Body = unit.BodyUnits }, func(r *rig) {
		send(r, "m-1", "["+good+`,7]`)
		got := r.broker.Notices()
		if len(got) != 1 || got[0].Type != intake.UnitRefused || got[0].ID != "job-r1" || got[0].Message != "m-1" ||
			!strings.Contains(string(got[0].Body), `"code":"bad_unit"`) {
			t.Fatalf("notices = %+v", got)
		}
		r.broker.Down(true)
		synctest.Wait()
	})
}

// A broker that is away is tried again, and what it is asked for in between is an error that says so.
func TestUnreachableBrokerIsRetried(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		synctest.Wait()
		r.broker.Down(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := r.door.Stats()[0]; r.meter.counts[intake.Broken] < 3 || s.LastError == "" {
			t.Errorf("%v, last error %q", r.meter.counts, s.LastError)
		}
		r.broker.Down(false)
		time.Sleep(time.Minute)
		send(r, "m-1", good)
		if len(r.calls.got) != 1 {
			t.Error("it did not come back")
		}
	})
}

func jobEnd() webhook.Event {
	j := ledger.Job{ID: "job", Request: "m-1", State: ledger.Partial, Callback: &unit.Callback{Outlet: "shop"}}
	return webhook.Event{ID: "job-2-done", Type: webhook.JobDone, Job: j, At: time.Unix(1_800_000_000, 0)}
}

// The verdicts of a job come unit by unit, in parts that brokers take, and then its end; a second time with the same
// ids.
func TestVerdictsAreSentInPartsThenTheEndOfTheJob(t *testing.T) {
	r := newRig(t, nil)
	defer r.door.Close()
	for range 2 {
		if err := r.door.Tell(t.Context(), jobEnd()); err != nil {
			t.Fatal(err)
		}
	}
	all := r.broker.Notices()
	var ids []string
	for _, n := range all {
		if ids = append(ids, n.ID); n.Job != "job" || n.Message != "m-1" || len(n.Body) > 300<<10 {
			t.Errorf("%s: job %q, message %q, %d bytes", n.ID, n.Job, n.Message, len(n.Body))
		}
	}
	want := []string{"job-2-u0-0", "job-2-u1-0", "job-2-u1-1", "job-2-done"}
	if !slices.Equal(ids, append(want, want...)) {
		t.Fatalf("notices %q, want twice %q", ids, want)
	}
	var first, part struct {
		Type string
		Data struct {
			State       ledger.State
			Part, Parts int
			Verdicts    []ledger.Verdict
		}
	}
	if err := errors.Join(json.Unmarshal(all[0].Body, &first), json.Unmarshal(all[2].Body, &part)); err != nil {
		t.Fatal(err)
	}
	if first.Data.State != ledger.Failed || part.Data.State != ledger.Partial || part.Data.Part != 1 ||
		part.Data.Parts != 2 {
		t.Errorf("states %+v and %+v", first.Data.State, part.Data)
	}
}

// A verdict that cannot be published comes again: the fault is one that is tried again.
func TestTellFails(t *testing.T) {
	r := newRig(t, nil)
	defer r.door.Close()
	r.broker.Down(true)
	if err := r.door.Tell(t.Context(), jobEnd()); !fault.KindOf(err).Retryable() {
		t.Errorf("Tell = %v, want a fault that is tried again", err)
	}
	e := jobEnd()
	e.Job.Callback.Outlet = "gone"
	var none *intake.Door
	for _, d := range []*intake.Door{r.door, none} {
		if err := d.Tell(t.Context(), e); err == nil || !fault.KindOf(err).Retryable() {
			t.Errorf("Tell to an intake that is not here = %v, want a fault that is tried again", err)
		}
	}
}

func TestConfig(t *testing.T) {
	good := intake.Config{Name: "shop", Token: "shop", Broker: intake.Broker{Kind: intake.RabbitMQ,
		URL: "amqp://mq", From: "units"}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*intake.Config){
		"name":            func(c *intake.Config) { c.Name = "a shop" },
		"token":           func(c *intake.Config) { c.Token = "" },
		"kind":            func(c *intake.Config) { c.Broker.Kind = "kafka" },
		"url":             func(c *intake.Config) { c.Broker.URLFile = "/x" },
		"from":            func(c *intake.Config) { c.Broker.From = "" },
		"dead":            func(c *intake.Config) { c.Broker.Dead = "units" },
		"body":            func(c *intake.Config) { c.Body = "all" },
		"slots":           func(c *intake.Config) { c.Slots = 5000 },
		"verdicts.to":     func(c *intake.Config) { c.Verdicts = intake.Verdicts{Task: "x"} },
		"verdicts.events": func(c *intake.Config) { c.Verdicts = intake.Verdicts{To: "v", Events: []string{"done"}} },
		"ca_file": func(c *intake.Config) {
			c.Broker = intake.Broker{Kind: intake.SQS, From: "https://sqs/u", Dead: "https://sqs/d", CAFile: "/ca"}
		},
		"dead: name": func(c *intake.Config) { c.Broker = intake.Broker{Kind: intake.SQS, From: "https://sqs/u"} },
		"verdicts.task": func(c *intake.Config) {
			c.Broker.Kind, c.Verdicts = intake.NATS, intake.Verdicts{To: "v", Task: "x"}
		},
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: Validate = %v, want an error about it", name, err)
		}
	}
}
