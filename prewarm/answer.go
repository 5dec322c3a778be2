package prewarm

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/prewarm/usage"
	"github.com/goldcrest/goldcrest/prewarm/webhook"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/trace"
	"github.com/goldcrest/goldcrest/variant"
)

// Accepted is the response to a prewarm call.
type Accepted struct {
	Job      ledger.Job
	Units    iter.Seq[AcceptedUnit] // produced when read, so that a large call need not be in memory
	Replayed bool                   // the Idempotency-Key was known: this is an earlier job
}

// AcceptedUnit is the state of one unit.
type AcceptedUnit struct {
	Index  int
	Line   int // of an NDJSON body; 0 = another type
	ID     string
	Err    *unit.Error
	Note   *unit.Note              // nil = none
	Images iter.Seq[AcceptedImage] // produced when read too: one unit may have all images; nil = none
	Budget *UnitBudget             // nil = the unit has none
	Data   func(io.Writer) error   // writes the rewritten or enriched unit; nil = the call did not ask for it
}

// UnitBudget is the result of a unit's budget.
type UnitBudget struct {
	Bytes int64 `json:"bytes"` // for all images of the unit, in one variant and format
	Share int64 `json:"share"` // of each image
	// Used is what the images take in the largest variant and format; null = not all of them are known yet.
	Used *int64 `json:"used"`
	Over bool   `json:"over"` // more is used than allowed
}

// AcceptedImage is the state of one image of a unit.
type AcceptedImage struct {
	Pointer, Source string
	State           ledger.State
	Reason          fault.Kind // "" = none
	Variants        []AcceptedVariant
}

// AcceptedVariant is one requested variant, in all its formats.
type AcceptedVariant struct {
	Name          string
	Format        variant.Format // Open if it is negotiated
	URL           string         // signed, valid at once; "" if the source cannot have one
	State         ledger.State
	Bytes         int64  // 0 = unknown, or there are several formats
	Width, Height int    // 0 = unknown
	Placeholder   string // a ThumbHash of the pixels in base64; "" = unknown
}

// CheckAsk asks for the state of one variant by its key, or of all variants of one source.
type CheckAsk struct {
	Key      string
	Source   string
	Variants []unit.VariantAsk // nil = the configured presets
	Share    int               // in its unit's budget, see Call.Share; 0 = none
	Within   reach.Hosts       // from which the original may have come
}

// Checked is the response to one CheckAsk: present if everything is stored, pending if work is queued, broken if the
// source is known to be broken, else unknown.
type Checked struct {
	Ask      CheckAsk
	State    ledger.State
	Reason   fault.Kind
	Variants []ledger.Verdict // one per variant and format; none for a key
}

// Stats is the current state of prewarm.
type Stats struct {
	Jobs     int            `json:"jobs"`     // active ones
	Variants int            `json:"variants"` // pending in active jobs
	Working  int            `json:"working"`  // images in progress on this instance
	Waiting  map[string]int `json:"waiting"`  // tasks by lane
}

// Observer is notified of events in prewarm, for metrics. It must be safe for concurrent use.
type Observer interface {
	Accepted(units, images int)
	Judged(state string, kind string, variants int)
	Told(outcome string) // ok, again, given_up
	Used(owner string, u usage.Usage)
}

// Stored are dependencies about stored variants, besides Known.
type Stored struct {
	// Improve is called with the stored variants of a call, which may be worth upgrading; nil = no upgrades.
	Improve func(found []pipeline.Warmed)
	// KnownKey is Known for one key.
	KnownKey func(ctx context.Context, key string, within reach.Hosts) (present bool, err error)
}

// Deps are the dependencies of a Service. All but Tell, Observer and Log must be set.
type Deps struct {
	Ledger ledger.Store
	Queue  ledger.Queue
	// Warm makes the missing variants of one source.
	Warm func(ctx context.Context, refs []variant.Ref) []pipeline.Warmed
	// Known reports whether variants are stored, without doing any work: Present, or not, or Err if the store does not
	// respond or the caller may not have the variant.
	Known func(ctx context.Context, refs []variant.Ref) []pipeline.Warmed
	Stored
	// Keep durably stores links by the ids of their opaque sources, replacing older ones; nil = URLs contain the links.
	Keep func(ctx context.Context, links map[string]string) error
	// Parser and Negotiation return the current rules.
	Parser      func() *variant.Parser
	Negotiation func() variant.Negotiation
	// Sign returns the URL of a source in a variant, signed with a key ("" = the first valid one). options are in URL
	// form. A ttl of 0 never expires.
	Sign func(key, source, options string, ttl, round time.Duration) (string, error)
	// Quotas returns those of all configured owners, including owners without a limit; nil = no quotas.
	Quotas func() map[string]usage.Quota
	Tell   webhook.Teller // nil = no callbacks
	// Forget makes the next fetch of a source that is known to be bad ask its origin again; nil = that happens only by
	// age.
	Forget func(source string)
	// Basis identifies everything besides the source that a verdict depends on, such as limits and decoders. When it
	// changes, nothing is known to be broken any more. nil = it never changes.
	Basis func() string
	// CheckCallback says why a callback is refused; nil = callbacks are off.
	CheckCallback func(unit.Callback) error
	Observer      Observer
	Log           *slog.Logger
	Tracer        trace.Tracer     // nil = nothing is traced
	Now           func() time.Time // nil = time.Now
}
