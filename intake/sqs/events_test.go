package sqs

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/intake/bucketevents"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/reach"
)

type all struct{}

func (all) AllowsSource(string) bool   { return true }
func (all) Hosts() (every reach.Hosts) { return every }
func (all) AllowsPreset(string) bool   { return true }

// unobserved is the Observer of a door whose figures are its Stats.
type unobserved struct{}

func (unobserved) Delivered(string, string) {}
func (unobserved) Published(string, string) {}
func (unobserved) Queued(string, int, bool) {}

// noPauses is a ledger that has no record of a pause.
type noPauses struct{}

func (noPauses) Read(context.Context, string) (ledger.Record, error) {
	return ledger.Record{}, ledger.ErrNoRecord
}
func (noPauses) Write(context.Context, ...*ledger.Record) error { return nil }

// What S3 sends to a queue is purged and accepted, also where the first try is refused for now; what is none of it goes
// to the dead letters.
func TestBucketEvents(t *testing.T) {
	f := queues(t)
	d, _ := f.open(t)
	var mu sync.Mutex
	var did []string
	refused := false
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		did = append(did, what)
	}
	taker := bucketevents.Taker{
		Rules: func() (bucketevents.Rules, unit.Rules) {
			return bucketevents.Rules{{Bucket: "photos", Source: "https://photos.example/{key}"}}, unit.Rules{}
		},
		Act:   func() (intake.Caller, error) { return intake.Caller{Name: "store", Rights: all{}}, nil },
		Purge: func(_ context.Context, sources []string) error { note(fmt.Sprint("purge ", sources)); return nil },
		Accept: func(_ context.Context, _ string, c unit.Call) error {
			note("accept " + c.Units[0].Images[0].Source)
			if refused {
				return nil
			}
			refused = true
			return fault.New(fault.QueueFull, "test", "full", nil)
		},
	}
	put := `{"Records":[{"eventName":"ObjectCreated:Put",
		"s3":{"bucket":{"name":"photos"},"object":{"key":"a+b.jpg"}}}]}`
	f.post(t, intake.Message{Body: []byte(put)})
	f.post(t, intake.Message{ID: "poison", Body: []byte(`{"Records":7}`)})
	door, err := intake.New(nil, intake.Deps{Ledger: noPauses{}, Observer: unobserved{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	door.Add(intake.Config{Name: "bucket_queues.0", Slots: 2}, d, taker.Take)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { door.Run(ctx) })
	f.until(t, func() bool { return len(f.queues["units"].messages) == 0 })
	stop()
	running.Wait()
	if n := door.Stats()[0].Counts; n.Accepted != 1 || n.Again != 1 || n.Dead != 1 {
		t.Errorf("the door counts %+v", n)
	}
	const source = "https://photos.example/a%20b.jpg"
	once := "purge [" + source + "] accept " + source
	if want := "[" + once + " " + once + "]"; fmt.Sprint(did) != want {
		t.Errorf("did %v, want %v", did, want)
	}
	dead := f.stored("dead")
	if len(dead) != 1 || dead[0].Body != `{"Records":7}` || dead[0].Attributes[attrReason].StringValue != "bad_unit" {
		t.Errorf("the dead letters are %+v", dead)
	}
}
