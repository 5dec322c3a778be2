package prewarm

import (
	"strconv"

	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/variant"
)

// UnitBudget is what became of a unit's budget.
type UnitBudget struct {
	Bytes int64 `json:"bytes"` // for all images of the unit, in one variant and format
	Share int64 `json:"share"` // of each image
	// Used is what the images take in the variant and format that takes most; null = not all of them are known yet.
	Used *int64 `json:"used"`
	Over bool   `json:"over"` // more is used than was to be
}

// within is a spec that keeps to a share. A variant that was to be smaller already stays so.
func within(spec variant.Spec, share int) variant.Spec {
	if share > 0 && (spec.MaxBytes == 0 || spec.MaxBytes > share) {
		spec.MaxBytes = share
	}
	return spec
}

// optionsWithin is within for the nth ask, as it stands in a URL.
func (p *plan) optionsWithin(n, share int) string {
	a := p.Asks[n]
	if spec := p.specs[a.Targets[0]]; within(spec, share) == spec {
		return a.Options
	}
	return a.Options + "/mb:" + strconv.Itoa(share)
}

// over reports whether the outcome is larger than its share.
func (o *outcome) over(share int) bool { return share > 0 && o.Bytes > int64(share) }

// budgetAnswer tells what became of a unit's budget; nil = it has none.
func (d *draft) budgetAnswer(at int, u unit.Unit) *UnitBudget {
	share := d.call.Share(u)
	if share == 0 {
		return nil
	}
	out := &UnitBudget{Bytes: d.call.BudgetOf(u), Share: int64(share)}
	used, known, seen := map[int]int64{}, true, map[*work]bool{}
	for _, x := range d.images[at] {
		if seen[x.work] {
			continue
		}
		seen[x.work] = true
		for i, o := range x.work.Verdicts {
			used[i] += o.Bytes
			known = known && o.State != Pending
		}
	}
	if !known {
		return out
	}
	most := int64(0)
	for _, n := range used {
		most = max(most, n)
	}
	out.Used, out.Over = &most, most > out.Bytes
	return out
}
