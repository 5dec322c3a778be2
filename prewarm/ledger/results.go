package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// ResultFilter selects verdicts.
type ResultFilter struct {
	For   Caller
	State State // "" = all
}

// Results lists the verdicts of a job in the order of its images, and returns the cursor of the next page ("" = none).
func (s *Views) Results(ctx context.Context, id string, f ResultFilter, cursor string, limit int) ([]Verdict, string, error) {
	j, err := s.ReadJob(ctx, id)
	if err == nil && !f.For.Owns(j.Owner) {
		err = NoSuchJob()
	}
	if err != nil {
		return nil, "", err
	}
	n, row, err := parseCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	limit = min(max(limit, 1), 10*maxPage)
	var out []Verdict
	for ; n < j.Tasks; n, row = n+1, 0 {
		t, err := TaskAt(ctx, s.Store, id, n)
		if errors.Is(err, ErrNoRecord) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		rows := s.verdicts(j, t, f.For)
		for ; row < len(rows); row++ {
			if f.State != "" && rows[row].State != f.State {
				continue
			}
			if len(out) == limit {
				return out, fmt.Sprintf("%d-%d", n, row), nil
			}
			out = append(out, rows[row])
		}
	}
	return out, "", nil
}

// parseCursor parses the cursor of Results: a task, and a row of it.
func parseCursor(cursor string) (task, row int, err error) {
	if cursor == "" {
		return 0, 0, nil
	}
	if _, err := fmt.Sscanf(cursor, "%d-%d", &task, &row); err != nil || task < 0 || row < 0 {
		return 0, 0, fault.New(fault.BadOption, "ledger.Results", "the cursor is not one of this listing", nil)
	}
	return task, row, nil
}

// verdicts returns the rows of a task: one per place, variant, format and weight class.
func (s *Views) verdicts(j *JobRecord, t *Task, who Caller) (rows []Verdict) {
	if t.Plan >= len(j.Plans) {
		return nil
	}
	p, parser := j.Plans[t.Plan], s.Parser()
	for _, w := range t.Images {
		refs, err := p.Refs(parser, w.Source, w.Share, j.Within)
		source := w.Told()
		if !who.Shows(j.Owner) {
			source = MaskQuery(source)
		}
		for _, at := range w.Spots {
			for i, o := range w.Verdicts {
				v := Verdict{
					Unit: at.Unit, UnitID: at.ID, Pointer: at.Pointer, Source: source, Name: p.Targets[i].Name,
					Format: string(cmp.Or(o.Format, p.Specs[i].Format)), State: o.In(at), Reason: o.Reason,
					Bytes: o.Bytes, Width: o.Width, Height: o.Height, Placeholder: o.Blur, Score: o.Score, At: o.At,
					Budget: int64(w.Share), Over: o.over(w.Share),
				}
				if err == nil {
					v.Key = refs[i].Key()
				}
				if o.Bytes > 0 {
					v.From = w.From
				}
				rows = append(rows, v)
			}
		}
	}
	return rows
}

// Sources returns the sources of a unit or tag in the stored jobs that the caller may see, one Ref each. A purge by
// unit or tag uses it.
func (s *Views) Sources(ctx context.Context, who Caller, unit, tag string) ([]variant.Ref, error) {
	if unit == "" && tag == "" {
		return nil, fault.New(fault.BadOption, "ledger.Sources", "a unit or a tag must be named", nil)
	}
	var jobs []*JobRecord
	var bad error
	err := s.Store.List(ctx, Scan{Prefix: "job", Bodies: true}, func(r Record) bool {
		var j *JobRecord
		if j, bad = s.parseJob(r); bad == nil && who.Owns(j.Owner) && (tag == "" || slices.Contains(j.Tags, tag)) {
			jobs = append(jobs, j)
		}
		return bad == nil
	})
	found := map[string]variant.Ref{}
	for _, j := range jobs {
		if err == nil && bad == nil {
			err = s.sourcesOf(ctx, j, unit, found)
		}
	}
	if err = errors.Join(err, bad); err != nil {
		return nil, err
	}
	out := make([]variant.Ref, 0, len(found))
	for _, ref := range found {
		out = append(out, ref)
	}
	return out, nil
}

// sourcesOf adds the sources of a job, or of one of its units, by the prefix of their keys.
func (s *Views) sourcesOf(ctx context.Context, j *JobRecord, unit string, found map[string]variant.Ref) error {
	parser := s.Parser()
	return s.EachTask(ctx, j.ID, func(_ int, t *Task) error {
		if t.Plan >= len(j.Plans) {
			return nil
		}
		for _, w := range t.Images {
			if w.Hash == "" || unit != "" && !slices.ContainsFunc(w.Spots, func(at Spot) bool { return at.ID == unit }) {
				continue
			}
			refs, err := j.Plans[t.Plan].Refs(parser, w.Source, w.Share, j.Within)
			if err != nil {
				continue
			}
			for _, ref := range refs {
				found[ref.SourcePrefix()] = ref
			}
		}
		return nil
	})
}
