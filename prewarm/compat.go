package prewarm

import (
	"context"
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
	"github.com/goldcrest/goldcrest/variant"
)

// LaneCompat is the queue's lane of the predecessor's call. It has workers of its own.
const LaneCompat = "compat"

// compatRecords begins the ledger's keys of the predecessor's call.
const compatRecords = "compat."

// Sink writes objects for other programs to read. Implemented by s3store.Sink.
type Sink interface {
	// Put writes body to exactly this key of this bucket. An empty body is a marker.
	Put(ctx context.Context, bucket, key string, body []byte, contentType string) error
}

// CompatDeps is what a Compat works with. All but Observer, Log and Now must be set.
type CompatDeps struct {
	Ledger Ledger
	Queue  Queue
	Sink   Sink // nil where no bucket is configured
	// Warm makes what is missing, behind every viewer; Get then gives its bytes.
	Warm func(ctx context.Context, refs []variant.Ref) []pipeline.Warmed
	Get  func(ctx context.Context, ref variant.Ref) (pipeline.Answer, error)
	// Parser gives the rules in force.
	Parser   func() *variant.Parser
	Retry    []time.Duration // pauses before further tries of a source whose failure may pass
	Slots    int             // pictures at one time
	Backlog  int             // pictures that may wait; past it calls are refused. 0 = 1,000,000
	Most     int             // pictures of one call; 0 = 50,000, which is the most
	Accounts *Accounts       // whose quotas hold; nil = nothing is counted
	Observer Observer
	Log      *slog.Logger
	Now      func() time.Time
}

// Compat is the predecessor's call: each picture goes, as a JPEG at most 500 pixels wide, to the key and bucket that
// the caller names, or an empty marker beside it says that there will be none. Safe for concurrent use.
type Compat struct {
	cfg  atomic.Pointer[CompatConfig]
	deps CompatDeps
	own  *variant.Parser // without presets: a configured default is not for these pictures
}

// NewCompat makes a Compat. It works on nothing before Run.
func NewCompat(cfg CompatConfig, deps CompatDeps) (*Compat, error) {
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
	if deps.Most == 0 || deps.Most > maxCompatImages {
		deps.Most = maxCompatImages
	}
	if deps.Backlog == 0 {
		deps.Backlog = defaultBacklog
	}
	c := &Compat{deps: deps, own: own}
	if err := c.Reload(cfg); err != nil {
		return nil, err
	}
	return c, nil
}

// Reload takes a new configuration at once. One that cannot work changes nothing.
func (c *Compat) Reload(cfg CompatConfig) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if len(cfg.Buckets) > 0 && c.deps.Sink == nil {
		return errors.New("compat.buckets: the first bucket needs a restart")
	}
	c.cfg.Store(&cfg)
	return nil
}

// compatTask is one picture in the ledger. It is worked on until the object or its marker stands.
type compatTask struct {
	Owner   string     `json:"owner,omitempty"` // name of the API token that asked for it
	Bucket  string     `json:"bucket"`
	Key     string     `json:"key"`
	Source  string     `json:"source"`
	Quality int        `json:"quality"`
	Bad     fault.Kind `json:"bad,omitempty"` // what was given is no source; it is not kept
	Tries   int        `json:"tries"`         // that failed
	Waits   int        `json:"waits"`         // for the bucket, which is not the source's fault
}

// id is the same for the same wish of the same owner, so that a call which is sent again finds its work under way.
func (t compatTask) id() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %d", t.Bucket, t.Key, t.Source, t.Bad, t.Quality))
	return ownerMark(t.Owner) + "." + hex.EncodeToString(sum[:16])
}

// The bounds of one call.
const (
	maxCompatBody   = 16 << 20
	maxCompatImages = 50_000
)

// Post reads a call of a token as ParseCompat does, and accepts it. room is asked for as many pictures as the call has
// before anything is made of them, and ends it with its error. Without a bucket there is no such call: not_found.
func (c *Compat) Post(ctx context.Context, token string, body io.Reader, room func(pictures int) error) error {
	if len(c.cfg.Load().Buckets) == 0 {
		return noSuchBucket()
	}
	call, err := ParseCompat(body, maxCompatBody, c.deps.Most)
	if err != nil {
		return err
	}
	if err := room(len(call.Images)); err != nil {
		return err
	}
	return c.Accept(ctx, token, call)
}

func noSuchBucket() error {
	return fault.New(fault.NotFound, "prewarm.Compat", "there is no such bucket for this call", nil)
}

// Accept takes a call and returns when all of it is on disk; all or nothing. Faults: not_found where there is no such
// bucket for this call, bad_unit for a key that may not be written, quota_exceeded, queue_full, and what the queue
// says.
func (c *Compat) Accept(ctx context.Context, token string, call CompatCall) error {
	tasks, err := c.plan(token, call)
	if err != nil || len(tasks) == 0 {
		return err
	}
	waiting, err := c.deps.Queue.Waiting(ctx, LaneCompat)
	if err != nil {
		return err
	}
	if waiting+len(tasks) > c.deps.Backlog {
		return fault.New(fault.QueueFull, "prewarm.Compat", "too many pictures are waiting", nil)
	}
	units := make(map[string]int, len(tasks))
	for _, t := range tasks {
		units[compatRecords+t.id()] = 1
	}
	n := int64(len(tasks))
	paid, err := c.deps.Accounts.charge(ctx, token, units, Usage{Units: n, Images: n})
	if err != nil {
		return err
	}
	known, err := c.record(ctx, tasks)
	if err != nil {
		paid.refund()
		return err
	}
	paid.reduce(Usage{Units: known, Images: known})
	paid.accepted()
	return nil
}

// record writes tasks down. known is how many of them are wishes that were recorded before.
func (c *Compat) record(ctx context.Context, tasks []compatTask) (known int64, err error) {
	records := make([]*Record, len(tasks))
	tickets := make([]Ticket, len(tasks))
	for i, t := range tasks {
		body, err := json.Marshal(t)
		if err != nil {
			return 0, fault.New(fault.Internal, "prewarm.Compat", "an internal error", err)
		}
		records[i] = &Record{Key: compatRecords + t.id(), Mark: string(Pending), Body: body}
		tickets[i] = Ticket{Lane: LaneCompat, ID: t.id()}
	}
	// A conflict is a wish that is recorded already. Its ticket is put again all the same: it may have been lost
	// between the two.
	if err := c.deps.Ledger.Write(ctx, records...); err != nil && !errors.Is(err, ErrConflict) {
		return 0, err
	}
	for _, r := range records {
		if r.Revision == 0 {
			known++
		}
	}
	return known, c.deps.Queue.Put(ctx, tickets...)
}

// plan checks a call against the buckets and makes a task of each picture.
func (c *Compat) plan(token string, call CompatCall) ([]compatTask, error) {
	cfg := c.cfg.Load()
	if !cfg.knows(call.Bucket) {
		return nil, noSuchBucket()
	}
	tasks := make([]compatTask, 0, len(call.Images))
	for i, image := range call.Images {
		if !cfg.allows(call.Bucket, image.Key) {
			return nil, fault.New(fault.BadUnit, "prewarm.Compat", fmt.Sprintf("key %d of key_urls_map may not be written: a key is UTF-8 of at most %d bytes "+
				"below the bucket's prefix, without control characters and . or .. segments", i+1, maxCompatKey), nil)
		}
		t := compatTask{Owner: token, Bucket: call.Bucket, Key: image.Key, Quality: call.Quality}
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

// Run works on what was accepted until ctx ends.
func (c *Compat) Run(ctx context.Context) error {
	return c.deps.Queue.Consume(ctx, []string{LaneCompat}, max(c.deps.Slots, 1), c.handle)
}
