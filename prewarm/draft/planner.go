package draft

import (
	"fmt"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
)

// maxPlans bounds the different lists of variants in one call: all of them are in the job's record.
const maxPlans = 64

// planner makes the plans of one call, one for each distinct list of variants.
type planner struct {
	r     *Rules
	Plans []*ledger.Plan
	known map[string]int    // by the asks
	asks  []unit.VariantAsk // of units that have none of their own

	rights unit.Rights // nil = everything is allowed
}

// NewPlanner returns a planner for a call that requests variants; nil = the configured presets.
func (r *Rules) NewPlanner(asks []unit.VariantAsk) *planner {
	p := &planner{r: r, known: map[string]int{}, asks: asks}
	if asks == nil {
		for _, name := range r.Presets {
			p.asks = append(p.asks, unit.VariantAsk{Name: name})
		}
	}
	return p
}

// Plan returns the index of the plan for a list of asks, and makes the plan if necessary; nil = the call's asks.
func (p *planner) Plan(asks []unit.VariantAsk) (int, error) {
	if asks == nil {
		asks = p.asks
	}
	if len(asks) == 0 {
		return 0, fault.New(fault.BadOption, "draft.Accept", "the call names no variants, and prewarm.presets is empty", nil)
	}
	name := fmt.Sprintf("%q", asks)
	if i, ok := p.known[name]; ok {
		return i, nil
	}
	if len(p.Plans) == maxPlans {
		return 0, fault.New(fault.BadOption, "draft.Accept", fmt.Sprintf("the call has more than %d different lists of variants", maxPlans), nil)
	}
	made, err := p.r.newPlan(asks)
	if err != nil {
		return 0, err
	}
	if err := p.permit(made); err != nil {
		return 0, err
	}
	p.known[name] = len(p.Plans)
	p.Plans = append(p.Plans, made)
	return p.known[name], nil
}

// permit refuses a plan that the caller's token may not request in full.
func (p *planner) permit(made *ledger.Plan) error {
	for _, s := range made.Specs {
		if mark := s.Watermark.Source; mark != "" && p.rights != nil && !p.rights.AllowsSource(mark) {
			return fault.New(fault.SourceNotAllowed, "draft.permit", "this token may not ask for the watermark's source", nil)
		}
	}
	for _, a := range made.Asks {
		for _, name := range a.Presets {
			if p.rights != nil && !p.rights.AllowsPreset(name) {
				return fault.New(fault.SourceNotAllowed, "draft.permit", fmt.Sprintf("variant %.60q: this token may not ask for these options", a.Name), nil)
			}
		}
	}
	return nil
}

// Weigh counts the variants that a call requests: those of each image, in each format and weight class. It builds no
// tasks. A call of more than prewarm.call_variants is refused with body_too_large.
func (r *Rules) Weigh(call unit.Call) (int, error) {
	return r.NewPlanner(call.Variants).weigh(call)
}

// weigh counts the variants of a call. Units that cannot be planned do not count: their variants are not made.
func (p *planner) weigh(call unit.Call) (sum int, err error) {
	for _, u := range call.Units {
		if u.Err != nil || len(u.Images) == 0 {
			continue
		}
		i, err := p.Plan(u.Variants)
		if err != nil {
			continue
		}
		sum += len(u.Images) * len(p.Plans[i].Targets)
		if err := WithinCall(sum, p.r.CallVariants); err != nil {
			return 0, err
		}
	}
	return sum, nil
}

// WithinCall refuses a call that requests n variants if n > most.
func WithinCall(n, most int) error {
	if n <= most {
		return nil
	}
	return fault.New(fault.BodyTooLarge, "draft.Weigh", fmt.Sprintf("the call asks for more than %d variants: images times variants, formats and "+
		"weight classes counted apart; send it in several", most), nil)
}
