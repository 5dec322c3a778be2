package prewarm

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// Results lists the verdicts of a job in the order of its images, and gives the cursor of the next page ("" = none).
func (s *Service) Results(ctx context.Context, id string, f ResultFilter, cursor string, limit int) ([]Verdict, string, error) {
	j, err := s.readJob(ctx, id)
	if err == nil && !f.For.Owns(j.Owner) {
		err = noSuchJob()
	}
	if err != nil {
		return nil, "", err
	}
	n, row := 0, 0
	if cursor != "" {
		if _, err := fmt.Sscanf(cursor, "%d-%d", &n, &row); err != nil || n < 0 || row < 0 {
			return nil, "", fault.New(fault.BadOption, "prewarm.Results", "the cursor is not one of this listing", nil)
		}
	}
	limit = min(max(limit, 1), 10*maxPage)
	mask := func(v Verdict) Verdict {
		if !f.For.Shows(j.Owner) {
			v.Source = MaskQuery(v.Source)
		}
		return v
	}
	var out []Verdict
	for ; n < j.Tasks; n, row = n+1, 0 {
		r, err := s.deps.Ledger.Read(ctx, taskKey(id, n))
		if errors.Is(err, ErrNoRecord) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		t, err := readTask(r)
		if err != nil {
			return nil, "", err
		}
		rows := s.verdicts(j, t)
		for ; row < len(rows); row++ {
			if f.State != "" && rows[row].State != f.State {
				continue
			}
			if len(out) == limit {
				return out, fmt.Sprintf("%d-%d", n, row), nil
			}
			out = append(out, mask(rows[row]))
		}
	}
	return out, "", nil
}

// verdicts are the rows of a task: one per place, variant, format and weight class.
func (s *Service) verdicts(j *jobRecord, t *task) (rows []Verdict) {
	if t.Plan >= len(j.Plans) {
		return nil
	}
	p, parser := j.Plans[t.Plan], s.deps.Parser()
	for _, w := range t.Works {
		refs, err := p.refs(parser, w.Source, w.Share, j.Within)
		for _, at := range w.Spots {
			for i, o := range w.Verdicts {
				v := Verdict{
					Unit: at.Unit, UnitID: at.ID, Pointer: at.Pointer, Source: w.told(), Name: p.Targets[i].Name,
					Format: string(cmp.Or(o.Format, p.specs[i].Format)), State: o.state(at), Reason: o.Reason,
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

// brokenRecord is what the ledger keeps of a broken source.
type brokenRecord struct {
	Source string     `json:"source"`
	Reason fault.Kind `json:"reason"`
	Count  int        `json:"count"`
	At     time.Time  `json:"at"`
	Owners []string   `json:"owners,omitempty"` // tokens whose jobs had it
	Basis  string     `json:"basis,omitempty"`  // Deps.Basis when it was found last
}

// seenBy reports whether a row of the feed is for a caller, and whether with the source's query.
func (b brokenRecord) seenBy(who Caller) (seen, shown bool) {
	if len(b.Owners) == 0 {
		return who.All, who.All
	}
	own := slices.ContainsFunc(b.Owners, who.Shows)
	return who.All || own, own
}

// remember counts a source as broken once more, in a job of owner.
func (s *Service) remember(ctx context.Context, hash, owner string, b badSource) error {
	key := "broken." + hash
	for {
		var known brokenRecord
		r, err := s.deps.Ledger.Read(ctx, key)
		if err == nil {
			err = json.Unmarshal(r.Body, &known)
		} else if errors.Is(err, ErrNoRecord) {
			r, err = Record{Key: key}, nil
		}
		if err != nil {
			return err
		}
		if owner != "" && !slices.Contains(known.Owners, owner) && len(known.Owners) < maxOwners {
			known.Owners = append(known.Owners, owner)
		}
		r.Body, err = json.Marshal(brokenRecord{b.Source, b.Reason, known.Count + 1, b.At, known.Owners, b.basis})
		if err != nil {
			return err
		}
		r.Mark = string(b.Reason)
		if err := s.deps.Ledger.Write(ctx, &r); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// shareFeed lets the job's owner see a source in the feed that was found broken in a job of somebody else. That is not
// certain to be written: the verdict tells the owner all the same.
func (a *attempt) shareFeed(ctx context.Context, w *work) {
	owner := a.job.Owner
	r, err := a.s.deps.Ledger.Read(ctx, "broken."+w.Hash)
	var b brokenRecord
	if err != nil || json.Unmarshal(r.Body, &b) != nil || owner == "" || slices.Contains(b.Owners, owner) || len(b.Owners) >= maxOwners {
		return
	}
	b.Owners = append(b.Owners, owner)
	if r.Body, err = json.Marshal(b); err == nil {
		err = a.s.deps.Ledger.Write(ctx, &r)
	}
	if err != nil && !errors.Is(err, ErrConflict) {
		a.s.deps.Log.Warn("a broken source could not be shown to the owner of another job", "job", a.job.ID, "error", err)
	}
}

// Broken lists at most limit sources found broken at or after since in jobs that who may see, those found first of all
// first.
func (s *Service) Broken(ctx context.Context, who Caller, since time.Time, limit int) ([]BrokenCount, error) {
	limit = min(max(limit, 1), 10*maxPage)
	var out []BrokenCount
	var bad error
	err := s.deps.Ledger.List(ctx, Scan{Prefix: "broken", Since: since, Bodies: true}, func(r Record) bool {
		var b brokenRecord
		if bad = json.Unmarshal(r.Body, &b); bad != nil {
			return false
		}
		seen, shown := b.seenBy(who)
		if !seen {
			return true
		}
		if !shown {
			b.Source = MaskQuery(b.Source)
		}
		out = append(out, BrokenCount{BrokenSource{b.Source, b.Reason, b.At}, b.Count})
		return len(out) < limit
	})
	if err == nil {
		err = bad
	}
	return out, err
}

// Sources finds the sources of a unit or a tag in the kept jobs that who may see, one Ref for each: what a purge by
// unit or tag is about.
func (s *Service) Sources(ctx context.Context, who Caller, unit, tag string) ([]variant.Ref, error) {
	if unit == "" && tag == "" {
		return nil, fault.New(fault.BadOption, "prewarm.Sources", "a unit or a tag must be named", nil)
	}
	var jobs []*jobRecord
	var bad error
	err := s.deps.Ledger.List(ctx, Scan{Prefix: "job", Bodies: true}, func(r Record) bool {
		var j *jobRecord
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

// sourcesOf adds the sources of a job, or of one unit of it, by the prefix of their keys.
func (s *Service) sourcesOf(ctx context.Context, j *jobRecord, unit string, found map[string]variant.Ref) error {
	parser := s.deps.Parser()
	return s.eachTask(ctx, j.ID, func(_ int, t *task) error {
		if t.Plan >= len(j.Plans) {
			return nil
		}
		for _, w := range t.Works {
			if w.Hash == "" || unit != "" && !slices.ContainsFunc(w.Spots, func(at spot) bool { return at.ID == unit }) {
				continue
			}
			refs, err := j.Plans[t.Plan].refs(parser, w.Source, w.Share, j.Within)
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
