package unit

import (
	"encoding/json"
	"errors"
)

// leastShare is the minimum share of an image in its unit's budget, in bytes: with less, nothing is recognisable.
const leastShare = 4 << 10

// Share is how many bytes one image of a unit may have in each variant and format; 0 = no limit. It depends only on the
// call, so the response can contain the final URLs. (docs/adr/0008-unit-budget.md)
func (c Call) Share(u Unit) int {
	budget, images := c.BudgetOf(u), int64(0)
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

// BudgetOf is how many bytes the images of a unit may have together: the unit's own budget, else the call's; 0 = none.
func (c Call) BudgetOf(u Unit) int64 {
	if u.Budget > 0 {
		return u.Budget
	}
	return c.Budget
}

// parseBudget parses a number of bytes; an empty text is 0.
func parseBudget(text []byte) (n int64, err error) {
	if len(text) > 0 && json.Unmarshal(text, &n) != nil || len(text) > 0 && (n < 1 || n > 1<<31-1) {
		return 0, errors.New("no number of bytes from 1 to 2147483647")
	}
	return n, nil
}
