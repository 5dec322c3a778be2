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

// Accepted is the answer to a prewarm call.
type Accepted struct {
	Job      ledger.Job
	Units    iter.Seq[AcceptedUnit] // made one by one as they are read: those of a large call need not be in memory together
	Replayed bool                   // the Idempotency-Key was known: the job is an earlier one
}

// AcceptedUnit is what is known of one unit.
type AcceptedUnit struct {
	Index  int
	Line   int // of an NDJSON body; 0 = it was none
	ID     string
	Err    *unit.Error
	Note   *unit.Note              // nil = there is nothing to say
	Images iter.Seq[AcceptedImage] // made one by one as well: one unit may have all images of a call; nil = none
	Budget *UnitBudget             // nil = the unit has none
	Data   func(io.Writer) error   // writes the rewritten or enriched unit; nil = the call did not ask for it
}

// UnitBudget is what became of a unit's budget.
type UnitBudget struct {
	Bytes int64 `json:"bytes"` // for all images of the unit, in one variant and format
	Share int64 `json:"share"` // of each image
	// Used is what the images take in the variant and format that takes most; null = not all of them are known yet.
	Used *int64 `json:"used"`
	Over bool   `json:"over"` // more is used than was to be
}

// AcceptedImage is what is known of one image of a unit.
type AcceptedImage struct {
	Pointer, Source string
	State           ledger.State
	Reason          fault.Kind // "" = none
	Variants        []AcceptedVariant
}

// AcceptedVariant is one variant that was asked for, in all its formats.
type AcceptedVariant struct {
	Name          string
	Format        variant.Format // Open where negotiation chooses it
	URL           string         // signed; works at once. "" for a source that cannot have one
	State         ledger.State
	Bytes         int64  // 0 = not known, or there are several formats
	Width, Height int    // 0 = not known
	Placeholder   string // a ThumbHash of the pixels in base64; "" = not known
}

// CheckAsk asks for the state of one variant by its key, or of all variants of one source.
type CheckAsk struct {
	Key      string
	Source   string
	Variants []unit.VariantAsk // nil = the configured presets
	Share    int               // of its unit's budget, see Call.Share; 0 = there is none
	Within   reach.Hosts       // that the original may have come from
}

// Checked is the answer to one CheckAsk: present if all is stored, pending if work is queued, broken where the source
// is known to be, else unknown.
type Checked struct {
	Ask      CheckAsk
	State    ledger.State
	Reason   fault.Kind
	Variants []ledger.Verdict // one per variant and format; of a key: none
}

// Stats is the present state of the prewarm door.
type Stats struct {
	Jobs     int            `json:"jobs"`     // that have not ended
	Variants int            `json:"variants"` // pending in them
	Working  int            `json:"working"`  // images that this instance works on
	Waiting  map[string]int `json:"waiting"`  // tasks by lane
}

// Observer learns what the prewarm door does; wired to metrics. Safe for concurrent use.
type Observer interface {
	Accepted(units, images int)
	Judged(state string, kind string, variants int)
	Told(outcome string) // ok, again, given_up
	Used(owner string, u usage.Usage)
}

// Stored is what is asked of what is stored, beside Known.
type Stored struct {
	// Improve is told what of a call is stored, which may be worth making better; nil = nothing is.
	Improve func(found []pipeline.Warmed)
	// KnownKey is Known for one key.
	KnownKey func(ctx context.Context, key string, within reach.Hosts) (present bool, err error)
}

// Deps is what a Service works with. All but Tell, Observer and Log must be set.
type Deps struct {
	Ledger ledger.Store
	Queue  ledger.Queue
	// Warm makes what is missing of the variants of one source.
	Warm func(ctx context.Context, refs []variant.Ref) []pipeline.Warmed
	// Known tells without any work whether variants are stored: Present, or not, or Err where the store does not
	// answer, or has what the caller must not have.
	Known func(ctx context.Context, refs []variant.Ref) []pipeline.Warmed
	Stored
	// Keep makes links, by the ids of their opaque sources, the newest ones known, durably; nil = links stand in URLs.
	Keep func(ctx context.Context, links map[string]string) error
	// Parser and Negotiation give the rules in force.
	Parser      func() *variant.Parser
	Negotiation func() variant.Negotiation
	// Sign gives the URL of a source in a variant, signed with a key ("" = the first valid one): options as they stand
	// in a URL. A ttl of 0 never expires.
	Sign func(key, source, options string, ttl, round time.Duration) (string, error)
	// Quotas are those of all owners that are configured, those without a limit too; nil = there are none.
	Quotas func() map[string]usage.Quota
	Tell   webhook.Teller // nil = nobody is told
	// Forget makes a source that is known to be bad be asked again; nil = such knowledge ends by itself.
	Forget func(source string)
	// Basis stands for all that a verdict on a source comes of beside the source, as limits and decoders do: once it
	// changes, nothing is known to be broken. nil = it never changes.
	Basis func() string
	// CheckCallback says why a callback cannot be taken; nil = callbacks are off.
	CheckCallback func(unit.Callback) error
	Observer      Observer
	Log           *slog.Logger
	Tracer        trace.Tracer     // nil = nothing is traced
	Now           func() time.Time // nil = time.Now
}
