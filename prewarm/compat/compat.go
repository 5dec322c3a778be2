// Package compat accepts the predecessor's call. Each picture is worked on until its object is in the bucket that the
// caller named, or a marker there that says that there will be none.
package compat

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/usage"
	"github.com/goldcrest/goldcrest/variant"
)

// Sink writes objects that other programs read. s3store.Sink implements it.
type Sink interface {
	// Put writes body to exactly this key of this bucket. An empty body is a marker.
	Put(ctx context.Context, bucket, key string, body []byte, contentType string) error
}

// Deps are the dependencies of a Service. All but Accounts, Judged, Log and Now must be set.
type Deps struct {
	Ledger ledger.Store
	Queue  ledger.Queue
	Sink   Sink // nil if no bucket is configured
	// Warm makes missing variants, with lower priority than viewers. Get then returns their bytes.
	Warm func(ctx context.Context, refs []variant.Ref) []pipeline.Warmed
	Get  func(ctx context.Context, ref variant.Ref) (pipeline.Answer, error)
	// Parser returns the current parser.
	Parser   func() *variant.Parser
	Retry    []time.Duration // pauses before retries of a source whose failure is retryable
	Slots    int             // concurrent pictures
	Backlog  int             // pictures that may wait; beyond it calls are refused. 0 = 1,000,000
	Most     int             // pictures of one call; 0 = 50,000, the maximum
	Accounts *usage.Accounts // enforces quotas; nil = nothing is counted
	// Judged counts verdicts; may be nil.
	Judged func(state, kind string, pictures int)
	Log    *slog.Logger
	Now    func() time.Time
}

// Service handles the predecessor's call. Each picture is written as a JPEG at most 500 pixels wide to the key and
// bucket that the caller names; if there will be none, an empty marker is written next to that key. Service is safe for
// concurrent use.
type Service struct {
	cfg  atomic.Pointer[Config]
	deps Deps
	own  *variant.Parser // without presets: a configured default does not apply to these pictures
}

// New returns a Service. It works on nothing before Run.
func New(cfg Config, deps Deps) (*Service, error) {
	own, err := variant.NewParser(nil, false)
	if err != nil {
		return nil, err
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Most == 0 || deps.Most > maxImages {
		deps.Most = maxImages
	}
	if deps.Backlog == 0 {
		deps.Backlog = ledger.DefaultBacklog
	}
	c := &Service{deps: deps, own: own}
	if err := c.Reload(cfg); err != nil {
		return nil, err
	}
	return c, nil
}

// Reload applies a new configuration at once. An invalid one changes nothing.
func (c *Service) Reload(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if len(cfg.Buckets) > 0 && c.deps.Sink == nil {
		return errors.New("compat.buckets: the first bucket needs a restart")
	}
	c.cfg.Store(&cfg)
	return nil
}

// task is the record of one picture. It is worked on until its object or its marker is written.
type task struct {
	Owner   string     `json:"owner,omitempty"` // name of the API token that requested it
	Bucket  string     `json:"bucket"`
	Key     string     `json:"key"`
	Source  string     `json:"source"`
	Quality int        `json:"quality"`
	Bad     fault.Kind `json:"bad,omitempty"` // the value is not a valid source; it is not stored
	Tries   int        `json:"tries"`         // failed ones
	Waits   int        `json:"waits"`         // tries that failed, but not because of the source
	// Call is unique to the call, so that the ledger does not take the record of an earlier one for this one.
	Call string `json:"call"`
}

// id is the same for the same request of the same owner, so a call that is sent again finds its existing work.
func (t task) id() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %d", t.Bucket, t.Key, t.Source, t.Bad, t.Quality))
	return ledger.OwnerMark(t.Owner) + "." + hex.EncodeToString(sum[:16])
}

// The bounds of one call.
const (
	maxBody   = 16 << 20
	maxImages = 50_000
)

// Post parses a call of a token as Parse does, and accepts it. room is called with the number of pictures before
// anything is made of them; its error ends the call. Without a configured bucket the call does not exist: not_found.
func (c *Service) Post(ctx context.Context, token string, body io.Reader, room func(pictures int) error) error {
	if len(c.cfg.Load().Buckets) == 0 {
		return noSuchBucket()
	}
	call, err := Parse(body, maxBody, c.deps.Most)
	if err != nil {
		return err
	}
	if err := room(len(call.Images)); err != nil {
		return err
	}
	return c.Accept(ctx, token, call)
}

func noSuchBucket() error {
	return fault.New(fault.NotFound, "compat.Compat", "there is no such bucket for this call", nil)
}

// Accept accepts a call and returns when all of it is on disk; all or nothing. Faults: not_found if there is no such
// bucket for this call, bad_unit for a key that may not be written, quota_exceeded, queue_full, and those of the queue.
func (c *Service) Accept(ctx context.Context, token string, call Call) error {
	tasks, err := c.plan(token, call)
	if err != nil || len(tasks) == 0 {
		return err
	}
	waiting, err := c.deps.Queue.Waiting(ctx, ledger.LaneCompat)
	if err != nil {
		return err
	}
	if waiting+len(tasks) > c.deps.Backlog {
		return fault.New(fault.QueueFull, "compat.Compat", "too many pictures are waiting", nil)
	}
	units := make(map[string]int, len(tasks))
	for _, t := range tasks {
		units[ledger.PictureRecords+t.id()] = 1
	}
	n := int64(len(tasks))
	paid, err := c.deps.Accounts.Charge(ctx, token, units, usage.Usage{Units: n, Images: n})
	if err != nil {
		return err
	}
	known, err := c.record(ctx, tasks)
	if err != nil {
		paid.Refund()
		return err
	}
	paid.Reduce(usage.Usage{Units: known, Images: known})
	paid.Accepted()
	return nil
}

// record writes tasks to the ledger. known is the number of tasks that were recorded before.
func (c *Service) record(ctx context.Context, tasks []task) (known int64, err error) {
	records := make([]*ledger.Record, len(tasks))
	tickets := make([]ledger.Ticket, len(tasks))
	for i, t := range tasks {
		body, err := json.Marshal(t)
		if err != nil {
			return 0, fault.New(fault.Internal, "compat.Compat", "an internal error", err)
		}
		records[i] = &ledger.Record{Key: ledger.PictureRecords + t.id(), Mark: string(ledger.Pending), Body: body}
		tickets[i] = ledger.Ticket{Lane: ledger.LaneCompat, ID: t.id()}
	}
	// A conflict is a task that is already recorded. Its ticket is put again: it may have been lost between the two
	// writes.
	if err := c.deps.Ledger.Write(ctx, records...); err != nil && !errors.Is(err, ledger.ErrConflict) {
		return 0, err
	}
	for _, r := range records {
		if r.Revision == 0 {
			known++
		}
	}
	return known, c.deps.Queue.Put(ctx, tickets...)
}

// plan checks a call against the buckets and makes a task for each picture.
func (c *Service) plan(token string, call Call) ([]task, error) {
	cfg := c.cfg.Load()
	if !cfg.knows(call.Bucket) {
		return nil, noSuchBucket()
	}
	tasks, unique := make([]task, 0, len(call.Images)), rand.Text()
	for i, image := range call.Images {
		if !cfg.allows(call.Bucket, image.Key) {
			return nil, fault.New(fault.BadUnit, "compat.Compat", fmt.Sprintf("key %d of key_urls_map may not be written: a key is UTF-8 of at most %d bytes "+
				"below the bucket's prefix, without control characters and . or .. segments", i+1, maxKey), nil)
		}
		t := task{Owner: token, Bucket: call.Bucket, Key: image.Key, Quality: call.Quality, Call: unique}
		ref, err := c.deps.Parser().Ref(image.Source, variant.Spec{})
		if err != nil {
			t.Bad = fault.KindOf(err)
		} else {
			t.Source = ref.Source
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}

// Run works on accepted pictures until ctx ends.
func (c *Service) Run(ctx context.Context) error {
	return c.deps.Queue.Consume(ctx, []string{ledger.LaneCompat}, max(c.deps.Slots, 1), c.handle)
}
