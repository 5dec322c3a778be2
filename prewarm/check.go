package prewarm

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
)

// Check tells what is known of variants. No work is done.
func (s *Service) Check(ctx context.Context, asks []CheckAsk) ([]Checked, error) {
	out := make([]Checked, len(asks))
	open := map[string][]int{} // by the source's hash: the answers that the store could not give
	for i, a := range asks {
		hash, err := s.checkStore(ctx, a, &out[i])
		if err != nil {
			return nil, err
		}
		out[i].Ask = a
		if out[i].State == Unknown && len(hash) >= hashDigits {
			open[hash] = append(open[hash], i)
		}
	}
	if len(open) == 0 {
		return out, nil
	}
	pending, err := s.pendingSources(ctx)
	if err != nil {
		return nil, err
	}
	for hash, at := range open {
		state, reason := Pending, fault.Kind("")
		if !pending[hash[:hashDigits]] {
			if state, reason, err = s.checkBroken(ctx, hash); err != nil {
				return nil, err
			}
		}
		for _, i := range at {
			out[i].answer(state, reason)
		}
	}
	return out, nil
}

// answer gives the answer for what is not stored.
func (c *Checked) answer(state State, reason fault.Kind) {
	c.State, c.Reason = state, reason
	for i := range c.Variants {
		if v := &c.Variants[i]; v.State == Unknown {
			v.State, v.Reason = state, reason
		}
	}
}

// checkStore asks the store: present, or unknown. It gives the hash of the source.
func (s *Service) checkStore(ctx context.Context, a CheckAsk, c *Checked) (hash string, err error) {
	c.State = Unknown
	if a.Key != "" {
		if words := strings.Split(a.Key, "/"); len(words) == 4 {
			hash = words[2]
		}
		if s.deps.KnownKey == nil {
			return hash, nil
		}
		present, err := s.deps.KnownKey(ctx, a.Key)
		if present {
			c.State = Present
		}
		return hash, err
	}
	asked := a.Variants
	for _, name := range s.cfg.Presets {
		if a.Variants == nil {
			asked = append(asked, VariantAsk{Name: name})
		}
	}
	p, err := s.newPlan(asked)
	if err != nil {
		return "", err
	}
	if len(p.specs) == 0 {
		return "", fault.New(fault.BadOption, "prewarm.Check", "no variants are named, and prewarm.presets is empty", nil)
	}
	refs, err := p.refs(s.deps.Parser(), a.Source, a.Share)
	if err != nil {
		c.State, c.Reason = Broken, fault.KindOf(err)
		return "", nil
	}
	c.State = Present
	for i, w := range s.deps.Known(ctx, refs) {
		if w.Err != nil {
			return "", w.Err
		}
		v := Verdict{Source: refs[i].Source, Name: p.Targets[i].Name, Format: string(p.specs[i].Format), Key: refs[i].Key(), State: Unknown}
		if w.Present {
			o := &work{Verdicts: make([]*outcome, 1)}
			o.store(0, w, Present, s.deps.Now())
			v.State, v.Bytes, v.Width, v.Height, v.From = Present, o.Verdicts[0].Bytes, o.Verdicts[0].Width, o.Verdicts[0].Height, o.From
			v.Format = string(cmp.Or(o.Verdicts[0].Format, p.specs[i].Format))
		} else {
			c.State = Unknown
		}
		c.Variants = append(c.Variants, v)
	}
	return refs[0].SourceHash(), nil
}

// checkBroken tells whether a source is known to be broken, and why.
func (s *Service) checkBroken(ctx context.Context, hash string) (State, fault.Kind, error) {
	if strings.Trim(hash, "0123456789abcdef") != "" {
		return Unknown, "", nil
	}
	r, err := s.deps.Ledger.Read(ctx, "broken."+hash)
	if errors.Is(err, ErrNoRecord) {
		return Unknown, "", nil
	}
	var b brokenRecord
	if err == nil {
		err = json.Unmarshal(r.Body, &b)
	}
	return Broken, b.Reason, err
}

// pendingSources are the sources, by the first digits of their hashes, that active jobs still have to do.
func (s *Service) pendingSources(ctx context.Context) (map[string]bool, error) {
	pending := map[string]bool{}
	err := s.eachActive(ctx, func(v *view) {
		for _, t := range v.tasks {
			for _, hash := range t.tally.hashes {
				pending[hash] = true
			}
		}
	})
	return pending, err
}

// eachActive gives the view of each job that has not ended, under its lock.
func (s *Service) eachActive(ctx context.Context, each func(*view)) error {
	var ids []string
	err := s.deps.Ledger.List(ctx, Scan{Prefix: "active"}, func(r Record) bool {
		ids = append(ids, r.Key[len("active."):])
		return true
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		v, err := s.view(ctx, id)
		if fault.KindOf(err) == fault.NoSuchJob {
			continue
		}
		if err != nil {
			return err
		}
		v.mu.Lock()
		if !v.job.Ended {
			each(v)
		}
		v.mu.Unlock()
	}
	return nil
}

// Stats tells the present state.
func (s *Service) Stats(ctx context.Context) (Stats, error) {
	out := Stats{Working: s.slots.working(), Waiting: map[string]int{}}
	err := s.eachActive(ctx, func(v *view) {
		out.Jobs++
		out.Variants += v.pending()
	})
	if err != nil {
		return out, err
	}
	for _, lane := range []string{LaneHigh, LaneNormal, LaneLow, LaneTell} {
		if out.Waiting[lane], err = s.deps.Queue.Waiting(ctx, lane); err != nil {
			return out, err
		}
	}
	return out, nil
}
