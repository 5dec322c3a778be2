package prewarm

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/draft"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// Check calls tell with the state of each ask, in order and one by one, so that the responses to a large call need not
// be in memory together. It does no work. Asks beyond prewarm.call_variants are refused at the start: body_too_large.
func (s *Service) Check(ctx context.Context, asks []CheckAsk, tell func(Checked) error) error {
	c := checking{s: s, ctx: ctx, parser: s.deps.Parser(), judged: map[string]judged{}}
	sum := 0
	for _, a := range asks {
		n, err := c.weigh(a)
		if err != nil {
			return err
		}
		sum += n
		if err := draft.WithinCall(sum, s.cfg.CallVariants); err != nil {
			return err
		}
	}
	for _, a := range asks {
		if err := ctx.Err(); err != nil {
			return err
		}
		found, err := c.check(a)
		if err == nil {
			err = tell(found)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checking is the state of one Check.
type checking struct {
	s       *Service
	ctx     context.Context
	parser  *variant.Parser
	asks    []unit.VariantAsk // for which plan was made; those of one unit are consecutive
	plan    *ledger.Plan
	pending map[string]bool   // sources that active jobs still have to do; nil = not read yet
	judged  map[string]judged // by source: those not stored
}

// judged is what is known about a source that is not stored.
type judged struct {
	state  ledger.State
	reason fault.Kind
}

func (c *checking) weigh(a CheckAsk) (int, error) {
	if a.Key != "" {
		return 1, nil
	}
	p, err := c.planOf(a.Variants)
	if err != nil {
		return 0, err
	}
	return len(p.Targets), nil
}

func (c *checking) planOf(asks []unit.VariantAsk) (*ledger.Plan, error) {
	if c.plan != nil && slices.Equal(asks, c.asks) {
		return c.plan, nil
	}
	p := c.s.NewPlanner(asks)
	if _, err := p.Plan(nil); err != nil {
		return nil, err
	}
	c.asks, c.plan = asks, p.Plans[0]
	return c.plan, nil
}

func (c *checking) check(a CheckAsk) (Checked, error) {
	out := Checked{Ask: a}
	hash, err := c.stored(a, &out)
	if err != nil || out.State != ledger.Unknown || len(hash) < ledger.HashDigits {
		return out, err
	}
	known, ok := c.judged[hash]
	if !ok {
		if known, err = c.judge(hash); err != nil {
			return out, err
		}
		c.judged[hash] = known
	}
	out.answer(known.state, known.reason)
	return out, nil
}

// judge returns what is known about a source that is not stored, by its hash.
func (c *checking) judge(hash string) (known judged, err error) {
	if c.pending == nil {
		if c.pending, err = c.s.pendingSources(c.ctx); err != nil {
			return known, err
		}
	}
	if c.pending[hash[:ledger.HashDigits]] {
		return judged{state: ledger.Pending}, nil
	}
	known.state, known.reason, err = c.s.CheckBroken(c.ctx, hash)
	return known, err
}

// answer sets the state of everything that is not stored.
func (c *Checked) answer(state ledger.State, reason fault.Kind) {
	c.State, c.Reason = state, reason
	for i := range c.Variants {
		if v := &c.Variants[i]; v.State == ledger.Unknown {
			v.State, v.Reason = state, reason
		}
	}
}

// stored queries the store: present or unknown. It returns the hash of the source.
func (c *checking) stored(a CheckAsk, out *Checked) (hash string, err error) {
	out.State = ledger.Unknown
	if a.Key != "" {
		return c.storedKey(a, out)
	}
	p, err := c.planOf(a.Variants)
	if err != nil {
		return "", err
	}
	refs, err := p.Refs(c.parser, a.Source, a.Share, a.Within)
	if err != nil {
		out.State, out.Reason = ledger.Broken, fault.KindOf(err)
		return "", nil
	}
	out.State = ledger.Present
	for i, w := range c.s.deps.Known(c.ctx, refs) {
		beyond := errors.Is(w.Err, reach.ErrBeyond)
		if w.Err != nil && !beyond {
			return "", w.Err
		}
		v := ledger.Verdict{Source: refs[i].Source, Name: p.Targets[i].Name, Format: string(p.Specs[i].Format), Key: refs[i].Key(), State: ledger.Unknown}
		switch {
		case beyond:
			v.State, v.Reason = ledger.Broken, fault.SourceNotAllowed
			out.State, out.Reason = ledger.Broken, fault.SourceNotAllowed
		case w.Present:
			o := &ledger.Image{Verdicts: make([]*ledger.Outcome, 1)}
			o.Store(0, w.Meta, ledger.Present, c.s.deps.Now())
			v.State, v.Bytes, v.Width, v.Height, v.From = ledger.Present, o.Verdicts[0].Bytes, o.Verdicts[0].Width, o.Verdicts[0].Height, o.From
			v.Format = string(cmp.Or(o.Verdicts[0].Format, p.Specs[i].Format))
		case out.State == ledger.Present:
			out.State = ledger.Unknown
		}
		out.Variants = append(out.Variants, v)
	}
	return refs[0].SourceHash(), nil
}

// storedKey is stored for an ask that names a key.
func (c *checking) storedKey(a CheckAsk, out *Checked) (hash string, err error) {
	if words := strings.Split(a.Key, "/"); len(words) == 4 {
		hash = words[2]
	}
	if c.s.deps.KnownKey == nil {
		return hash, nil
	}
	present, err := c.s.deps.KnownKey(c.ctx, a.Key, a.Within)
	switch {
	case present:
		out.State = ledger.Present
	case errors.Is(err, reach.ErrBeyond):
		out.State, out.Reason, err = ledger.Broken, fault.SourceNotAllowed, nil
	}
	return hash, err
}

// pendingSources returns the sources that active jobs still have to do, by the prefixes of their hashes.
func (s *Service) pendingSources(ctx context.Context) (map[string]bool, error) {
	pending := map[string]bool{}
	err := s.EachActive(ctx, func(v *ledger.View) {
		_, sources := v.Left()
		for _, hash := range sources {
			pending[hash] = true
		}
	})
	return pending, err
}

// Stats returns the current state.
func (s *Service) Stats(ctx context.Context) (Stats, error) {
	out := Stats{Working: s.slots.working(), Waiting: map[string]int{}}
	err := s.EachActive(ctx, func(v *ledger.View) {
		out.Jobs++
		out.Variants += v.Describe(s.deps.Now()).Counts.Pending
	})
	if err != nil {
		return out, err
	}
	for _, lane := range []string{ledger.LaneHigh, ledger.LaneNormal, ledger.LaneLow, ledger.LaneTell} {
		if out.Waiting[lane], err = s.deps.Queue.Waiting(ctx, lane); err != nil {
			return out, err
		}
	}
	return out, nil
}
