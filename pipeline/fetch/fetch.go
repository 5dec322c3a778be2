// Package fetch gets the originals of variants, each only once for all callers that want it at the same time.
package fetch

import (
	"context"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/variant"
)

// Source gets the originals or masters of variants. Get takes over ask.Slot. Its Supply has Looked set even after an
// error.
type Source interface {
	Get(ctx context.Context, ask Ask) (Supply, error)
}

// Ask says what is wanted.
type Ask struct {
	Source     string
	Specs      []variant.Spec   // variants to be made from it
	Key        string           // key of one of them
	Generation cache.Generation // in which work on them began
	Limits     origin.Limits
	Urgency    *gate.Urgency
	Slot       func() // a fetch slot that the caller already holds; nil = none
}

// Supply is an original or a master, from which variants are made.
type Supply struct {
	variant.Original
	Terms                            // of the original alone
	ByMark  map[string]Terms         // of its Marks, by the same names
	Version origin.Validators        // of the original; zero for a master
	Same    bool                     // the original is unchanged since Limits.Unless, and there are no bytes
	Missing bool                     // the original has no master, or a stale one
	Claimed *bool                    // whether a master of this download has been started; nil if none can be
	Lacks   func(variant.Spec) error // why a variant cannot be made from it; nil = all can
	Back    func()                   // must be called when the bytes are no longer used
	Looked  time.Duration            // spent on looking for a master
	Waited  time.Duration            // spent waiting for a fetch slot
	Fetched time.Duration            // spent fetching
}

// Terms are where bytes came from, and what the origin allows for variants of them.
type Terms struct {
	From    variant.Provenance
	NoStore bool // the origin forbids storing variants
}

// For returns the terms of one variant: it is kept as long as the original and its mark allow, and given to callers
// that may have both.
func (s Supply) For(spec variant.Spec) Terms {
	t, mark := s.Terms, s.ByMark[spec.Watermark.Mark]
	for host := range strings.FieldsSeq(string(mark.From.Via)) {
		t.From.Via = t.From.Via.Through(host)
	}
	t.NoStore = t.NoStore || mark.NoStore
	if mark.From.HasLife && (!t.From.HasLife || mark.From.Life < t.From.Life) {
		t.From.Life, t.From.HasLife = mark.From.Life, true
	}
	return t
}

// Fetcher downloads originals. Implemented by origin.Client.
type Fetcher interface {
	Fetch(ctx context.Context, source string, lim origin.Limits) (origin.Original, error)
	Forget(source string)
}

// Origin is the Source that downloads from origins.
type Origin struct {
	group  *Group[origin.Original]
	honour bool
}

// NewOrigin returns an Origin. With honour it obeys the origins' caching rules.
func NewOrigin(group *Group[origin.Original], honour bool) *Origin { return &Origin{group, honour} }

// Get implements Source. A download with other allowed hosts is not shared: it may give an original that this caller
// must not have, or a refusal that does not apply to this caller.
func (o *Origin) Get(ctx context.Context, ask Ask) (Supply, error) {
	got, back, err := o.group.Get(ctx, ask)
	if err != nil {
		return Supply{}, err
	}
	v := got.Value
	return Supply{
		Original: variant.Original{Body: v.Body, Info: v.Info},
		Terms: Terms{
			From: variant.Provenance{
				Via: v.Via, ViaKnown: true, Life: v.Fresh.TTL, HasLife: o.honour && v.Fresh.Said,
			},
			NoStore: o.honour && (v.Fresh.NoStore || v.Fresh.Private),
		},
		Version: v.Version,
		Same:    v.Same,
		Claimed: &got.claimed, Back: back, Waited: got.Waited, Fetched: got.Took,
	}, nil
}
