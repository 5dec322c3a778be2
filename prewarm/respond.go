package prewarm

import (
	"cmp"
	"context"
	"io"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/draft"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/variant"
)

// The values of a call's "return".
const (
	returnNone      = "none"
	returnRewritten = "rewritten"
	returnEnriched  = "enriched"
)

// answer builds the response to a call from its draft.
func (s *Service) answer(ctx context.Context, d *draft.Draft, id string) (Accepted, error) {
	job, err := s.Job(ctx, id, 0)
	if err != nil {
		return Accepted{}, err
	}
	return Accepted{Job: job, Units: func(yield func(AcceptedUnit) bool) {
		for i, u := range d.Call.Units {
			unit := s.answerUnit(d, i, u)
			if told := d.Call.Return != returnNone || unit.Err != nil || unit.Note != nil; told && !yield(unit) {
				return
			}
		}
	}}, nil
}

func (s *Service) answerUnit(d *draft.Draft, at int, u unit.Unit) AcceptedUnit {
	out := AcceptedUnit{Index: u.Index, Line: u.Line, ID: u.ID, Err: u.Err}
	if bad, ok := d.Bad[at]; ok {
		out.Err = &bad
	}
	if out.Note = u.Note(); out.Err != nil {
		out.Note = nil
		return out
	}
	if d.Call.Return == returnNone {
		return out
	}
	image := func(i int) AcceptedImage { return s.answerImage(d, d.Images[at][i], u.Images[i]) }
	out.Images = func(yield func(AcceptedImage) bool) {
		for i := range u.Images {
			if !yield(image(i)) {
				return
			}
		}
	}
	out.Budget = budgetAnswer(d, at, u)
	switch d.Call.Return {
	case returnRewritten:
		out.Data = func(w io.Writer) error {
			return u.Replace(w, func(i int) any {
				if first := image(i).Variants[0]; first.URL != "" {
					return first.URL
				}
				return nil
			})
		}
	case returnEnriched:
		out.Data = func(w io.Writer) error {
			return u.Replace(w, func(i int) any {
				if shown := image(i); shown.Variants[0].URL != "" {
					return enrich(shown)
				}
				return nil
			})
		}
	}
	return out
}

func (s *Service) answerImage(d *draft.Draft, x *draft.Drafted, img unit.Image) AcceptedImage {
	here := ledger.Spot{Auto: img.Auto, Sure: img.Sure}
	out := AcceptedImage{Pointer: img.Pointer, Source: cmp.Or(x.Work.Shown, img.Source)}
	out.State, out.Reason = together(x.Work.Verdicts, here)
	source := x.Work.Source
	if x.Work.Shown != "" {
		source = img.Source // the link decides whether a key may sign it
	}
	for n, a := range x.Plan.Asks {
		v := AcceptedVariant{Name: a.Name, Format: a.Format}
		var mine []*ledger.Outcome
		for _, t := range a.Targets {
			mine = append(mine, x.Work.Verdicts[t])
		}
		v.State, _ = together(mine, here)
		for _, o := range mine {
			if o.Width > 0 && v.Width == 0 {
				v.Width, v.Height = o.Width, o.Height
			}
			v.Placeholder = cmp.Or(v.Placeholder, o.Blur)
		}
		if len(mine) == 1 {
			v.Bytes = mine[0].Bytes
		}
		if x.Work.Hash != "" {
			var err error
			v.URL, err = s.deps.Sign(d.Call.Key, source, x.Plan.OptionsWithin(n, x.Work.Share), d.Call.TTL, d.Call.Round)
			// If no key may sign it, the rest of the call is not affected.
			out.Reason = cmp.Or(out.Reason, fault.KindOf(err))
		}
		out.Variants = append(out.Variants, v)
	}
	return out
}

// severity orders the states of variants. The state of an image is the first one that any of its variants has.
var severity = []ledger.State{ledger.Pending, ledger.Broken, ledger.Failed, ledger.Expired, ledger.Cancelled, ledger.Skipped, ledger.Made, ledger.Present}

// together combines several outcomes into one state and its reason.
func together(all []*ledger.Outcome, at ledger.Spot) (ledger.State, fault.Kind) {
	for _, s := range severity {
		for _, o := range all {
			if o.In(at) == s {
				return s, o.Reason
			}
		}
	}
	return ledger.Present, ""
}

// enriched replaces an image in an enriched unit.
type enriched struct {
	URL    string `json:"url"`
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
	// Placeholder is a ThumbHash of the first variant's pixels in base64, to show until the image has loaded.
	Placeholder string                     `json:"placeholder,omitempty"`
	State       ledger.State               `json:"state"`
	Variants    map[string]enrichedVariant `json:"variants"`
}

type enrichedVariant struct {
	URL         string         `json:"url"`
	Format      variant.Format `json:"format,omitempty"`
	Width       int            `json:"width,omitempty"`
	Height      int            `json:"height,omitempty"`
	Bytes       int64          `json:"bytes,omitempty"`
	Placeholder string         `json:"placeholder,omitempty"`
}

func enrich(img AcceptedImage) enriched {
	first := img.Variants[0]
	e := enriched{
		URL: first.URL, Width: first.Width, Height: first.Height, Bytes: first.Bytes, Placeholder: first.Placeholder, State: img.State,
		Variants: map[string]enrichedVariant{},
	}
	for _, v := range img.Variants {
		e.Variants[v.Name] = enrichedVariant{v.URL, v.Format, v.Width, v.Height, v.Bytes, v.Placeholder}
	}
	return e
}

// budgetAnswer returns the result of a unit's budget; nil = it has none.
func budgetAnswer(d *draft.Draft, at int, u unit.Unit) *UnitBudget {
	share := d.Call.Share(u)
	if share == 0 {
		return nil
	}
	out := &UnitBudget{Bytes: d.Call.BudgetOf(u), Share: int64(share)}
	used, known, seen := map[int]int64{}, true, map[*ledger.Image]bool{}
	for _, x := range d.Images[at] {
		if seen[x.Work] {
			continue
		}
		seen[x.Work] = true
		for i, o := range x.Work.Verdicts {
			used[i] += o.Bytes
			known = known && o.State != ledger.Pending
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
