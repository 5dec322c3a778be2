package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// Known tells what Warm would find stored, and does no work: Present, or neither Present nor Err, or Err where the
// store does not answer, or the caller may not have what it has. refs must be resolved.
func (p *Pipeline) Known(ctx context.Context, refs []variant.Ref) []Warmed {
	out := make([]Warmed, len(refs))
	for i, ref := range refs {
		out[i] = p.known(ctx, ref.Key(), ref.Within)
		out[i].Ref = ref
	}
	return out
}

// KnownKey is Known for one key, whose original may have come from these hosts.
func (p *Pipeline) KnownKey(ctx context.Context, key string, within reach.Hosts) (present bool, err error) {
	if cache.CheckKey(key) != nil {
		return false, nil // Nothing can be stored there.
	}
	w := p.known(ctx, key, within)
	return w.Present, w.Err
}

// known looks at the store.
func (p *Pipeline) known(ctx context.Context, key string, within reach.Hosts) Warmed {
	w := Warmed{Key: key}
	m, err := p.parts.Store.Stat(ctx, key)
	if err != nil && !errors.Is(err, cache.ErrMiss) {
		w.Err = fault.New(fault.Internal, "pipeline.known", "the store did not answer", err)
		return w
	}
	if err != nil {
		return w
	}
	_, usable, refused := p.answerTo(within, cache.Entry{Meta: m}, "store")
	if w.Err = refused; usable {
		if w.Err = p.vouch(); w.Err == nil {
			w.Meta, w.Present = m, true
		}
	}
	return w
}

// vouch is nil where this instance knows all purges: else what it finds in the store may be purged.
func (p *Pipeline) vouch() error {
	if p.parts.Purges.Trusted() {
		return nil
	}
	f := fault.New(fault.Overloaded, "pipeline.vouch", "this instance is out of contact with the others and cannot tell what is purged", nil)
	f.RetryAfter = 5 * time.Second
	return f
}
