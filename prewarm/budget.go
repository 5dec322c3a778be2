package prewarm

import (
	"encoding/json"
	"errors"
	"strconv"

	"github.com/goldcrest/goldcrest/variant"
)

// leastShare is the least that an image is given of its unit's budget, in bytes: below it nothing is left to be seen.
const leastShare = 4 << 10

// UnitBudget is what became of a unit's budget.
type UnitBudget struct {
	Bytes int64 `json:"bytes"` // for all images of the unit, in one variant and format
	Share int64 `json:"share"` // of each image
	// Used is what the images take in the variant and format that takes most; null = not all of them are known yet.
	Used *int64 `json:"used"`
	Over bool   `json:"over"` // more is used than was to be
}

// Share is how many bytes one image of a unit may have in each variant and format; 0 = as many as it takes. It depends on nothing but the
// call, so that the final URLs are in its answer. (docs/adr/0008-unit-budget.md)
func (c Call) Share(u Unit) int {
	budget, images := c.budget(u), int64(0)
	for _, img := range u.Images {
		if img.Bad == "" {
			images++
		}
	}
	if budget == 0 || images == 0 {
		return 0
	}
	return int(max(budget/images, leastShare))
}

// budget is the unit's own, else the call's; 0 = none.
func (c Call) budget(u Unit) int64 {
	if u.Budget > 0 {
		return u.Budget
	}
	return c.Budget
}

// budgetOf reads a number of bytes; nothing is 0.
func budgetOf(text []byte) (n int64, err error) {
	if len(text) > 0 && json.Unmarshal(text, &n) != nil || len(text) > 0 && (n < 1 || n > 1<<31-1) {
		return 0, errors.New("no number of bytes from 1 to 2147483647")
	}
	return n, nil
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
func (d *draft) budgetAnswer(at int, u Unit) *UnitBudget {
	share := d.call.Share(u)
	if share == 0 {
		return nil
	}
	out := &UnitBudget{Bytes: d.call.budget(u), Share: int64(share)}
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
