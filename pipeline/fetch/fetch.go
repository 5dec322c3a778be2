// Package fetch gets what variants are made from: each original once for all who want it at a time.
package fetch

import (
	"context"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/variant"
)

// Source gives what variants are made from. It takes ask.Slot over. Its Supply tells of Looked after an error, too.
type Source interface {
	Get(ctx context.Context, ask Ask) (Supply, error)
}

// Ask says what is wanted, and what for.
type Ask struct {
	Source     string
	Specs      []variant.Spec   // what is to be made of it
	Key        string           // of one of them
	Generation cache.Generation // in which their making began
	Limits     origin.Limits
	Urgency    *gate.Urgency
	Slot       func() // a fetch slot that the caller holds already; nil = none
}

// Supply is what variants are made from.
type Supply struct {
	variant.Original
	From    variant.Provenance
	Version origin.Validators        // of the original; none of a master
	Same    bool                     // the original is as Limits.Unless says, and there are no bytes
	NoStore bool                     // the origin forbids keeping what is made of it
	Missing bool                     // the original has no master, or an old one
	Claimed *bool                    // a master is made of this download, or was; nil where none can be
	Lacks   func(variant.Spec) error // why a variant cannot be made of it; nil = all can
	Back    func()                   // must be called when the bytes are no longer read
	Looked  time.Duration            // spent on the look for a master
	Waited  time.Duration            // spent before a fetch slot was free
	Fetched time.Duration            // spent fetching
}

// Fetcher gets originals. Implemented by origin.Client.
type Fetcher interface {
	Fetch(ctx context.Context, source string, lim origin.Limits) (origin.Original, error)
	Forget(source string)
}

// Origin is the Source that asks origins.
type Origin struct {
	group  *Group[origin.Original]
	honour bool
}

// NewOrigin makes an Origin. With honour it heeds what origins say of keeping their originals.
func NewOrigin(group *Group[origin.Original], honour bool) *Origin { return &Origin{group, honour} }

// Get implements Source. A download that may go to other hosts is not shared: it may end in what this caller must not
// have, or in a refusal that is not this caller's.
func (o *Origin) Get(ctx context.Context, ask Ask) (Supply, error) {
	got, back, err := o.group.Get(ctx, ask)
	if err != nil {
		return Supply{}, err
	}
	v := got.Value
	return Supply{
		Original: variant.Original{Body: v.Body, Info: v.Info},
		From:     variant.Provenance{Via: v.Via, ViaKnown: true, Life: v.Fresh.TTL, HasLife: o.honour && v.Fresh.Said},
		Version:  v.Version,
		Same:     v.Same,
		NoStore:  o.honour && (v.Fresh.NoStore || v.Fresh.Private),
		Claimed:  &got.claimed, Back: back, Waited: got.Waited, Fetched: got.Took,
	}, nil
}
