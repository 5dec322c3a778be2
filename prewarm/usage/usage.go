package usage

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// Usage is what the calls of a token have used in a day (UTC), or in a part of it.
type Usage struct {
	Units   int64 `json:"data_units"` // accepted
	Images  int64 `json:"images"`     // requested by accepted calls and by retries
	Made    int64 `json:"made"`       // verdicts on variants, by state; a job past midnight counts on both days
	Present int64 `json:"present"`
	Broken  int64 `json:"broken"`
	Failed  int64 `json:"failed"`
	Refused int64 `json:"refused"` // calls and retries refused for a quota
	// Bytes are the bytes of the variants that were made. A variant that was present cost nothing, and was counted when
	// it was made.
	Bytes ledger.Bytes `json:"bytes"`
}

// add adds another usage, multiplied by times (1 or -1).
func (u *Usage) add(o Usage, times int64) {
	u.Units += times * o.Units
	u.Images += times * o.Images
	u.Made += times * o.Made
	u.Present += times * o.Present
	u.Broken += times * o.Broken
	u.Failed += times * o.Failed
	u.Refused += times * o.Refused
	u.Bytes.Source += times * o.Bytes.Source
	u.Bytes.Stored += times * o.Bytes.Stored
	u.Bytes.Saved += times * o.Bytes.Saved
}

// Of sums up the verdicts that this process has decided since the task was read.
func Of(t *ledger.Task) (u Usage) {
	for _, w := range t.Images {
		made := false
		for _, o := range w.Verdicts {
			if !o.Ours {
				continue
			}
			for _, at := range w.Spots {
				u.Judge(o.In(at))
			}
			if o.State == ledger.Made {
				made = true
				u.Bytes.Stored += o.Bytes
				u.Bytes.Saved += w.Saved(o)
			}
		}
		if made {
			u.Bytes.Source += w.From
		}
	}
	return u
}

// Judge counts a verdict.
func (u *Usage) Judge(s ledger.State) {
	switch s {
	case ledger.Made:
		u.Made++
	case ledger.Present:
		u.Present++
	case ledger.Broken:
		u.Broken++
	case ledger.Failed:
		u.Failed++
	}
}

// Owner is the quota and the usage of one owner.
type Owner struct {
	Owner string `json:"owner"`
	Quota struct {
		UnitsQueued *Remaining `json:"units_queued,omitempty"` // nil = no limit
		ImagesADay  *Remaining `json:"images_a_day,omitempty"`
	} `json:"quota"`
	Days []Day `json:"days"` // latest first; days without usage are omitted
}

// Remaining is the rest of a quota.
type Remaining struct {
	Limit     int64 `json:"limit"`
	Used      int64 `json:"used"`
	Remaining int64 `json:"remaining"`
}

// Day is the usage of a day (UTC).
type Day struct {
	Day string `json:"day"`
	Usage
}

// MaxDays bounds the days of one response. Usage is kept as long as jobs, for prewarm.keep.
const MaxDays = 31

// clockSkew is how far the ledger's clock may be behind.
const clockSkew = time.Hour

// Usage returns the usage of the last days, including today, of the named owner, or of all owners that the caller may
// see ("").
func (a *Accounts) Usage(ctx context.Context, who ledger.Caller, owner string, days int) ([]Owner, error) {
	if !who.All && owner == "" {
		owner = who.Name
	}
	if !who.All && owner == "" {
		return nil, nil // only admins may see the usage of tokens without a name
	}
	quotas := a.Quotas()
	found := map[string]map[string]Usage{} // by owner and day
	for name := range quotas {
		if owner == "" || name == owner {
			found[name] = map[string]Usage{}
		}
	}
	now := a.Now().UTC()
	if err := a.usageSince(ctx, owner, now.AddDate(0, 0, 1-min(max(days, 1), MaxDays)), found); err != nil {
		return nil, err
	}
	out := make([]Owner, 0, len(found))
	for name, days := range found {
		u, err := a.ofOwner(ctx, name, quotas[name], days)
		if err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	slices.SortFunc(out, func(x, y Owner) int { return cmp.Compare(x.Owner, y.Owner) })
	return out, nil
}

// ofOwner returns the usage of an owner in some days, and the rest of its quota.
func (a *Accounts) ofOwner(ctx context.Context, name string, q Quota, days map[string]Usage) (u Owner, err error) {
	u.Owner, u.Days = name, []Day{}
	for day, of := range days {
		at, err := time.Parse(ledger.DayFormat, day)
		if err != nil {
			return u, fault.New(fault.Internal, "usage.Usage", "an internal error", err)
		}
		u.Days = append(u.Days, Day{at.Format(time.DateOnly), of})
	}
	slices.SortFunc(u.Days, func(x, y Day) int { return cmp.Compare(y.Day, x.Day) })
	if q.UnitsQueued > 0 {
		if _, err := a.read(ctx, name, queueAgeFull); err != nil {
			return u, err
		}
		a.mu.Lock()
		u.Quota.UnitsQueued = remaining(q.UnitsQueued, a.queue(name).sum)
		a.mu.Unlock()
	}
	if q.ImagesADay > 0 {
		u.Quota.ImagesADay = remaining(q.ImagesADay, days[ledger.DayOf(a.Now())].Images)
	}
	return u, nil
}

func remaining(limit int, used int64) *Remaining {
	return &Remaining{Limit: int64(limit), Used: used, Remaining: max(0, int64(limit)-used)}
}

// usageSince adds up what all instances have counted for an owner, or for all (""), from a day on.
func (a *Accounts) usageSince(ctx context.Context, owner string, first time.Time, into map[string]map[string]Usage) error {
	from := ledger.DayOf(first)
	add := func(at ownerDay, u Usage) {
		if at.day < from || owner != "" && at.owner != owner {
			return
		}
		if into[at.owner] == nil {
			into[at.owner] = map[string]Usage{}
		}
		sum := into[at.owner][at.day]
		sum.add(u, 1)
		into[at.owner][at.day] = sum
	}
	own := map[string]bool{} // for these the counts in memory are newer than the ledger
	a.mu.Lock()
	for at, c := range a.own {
		if c.Usage != (Usage{}) {
			own[a.key(at)] = true
			add(at, c.Usage)
		}
	}
	a.mu.Unlock()
	var bad error
	scan := ledger.Scan{Prefix: "usage", Since: first.Truncate(24 * time.Hour).Add(-clockSkew), Bodies: true}
	err := a.Views.Store.List(ctx, scan, func(r ledger.Record) bool {
		words := strings.Split(r.Key, ".")
		if own[r.Key] || len(words) != 4 {
			return true
		}
		var u record
		if bad = json.Unmarshal(r.Body, &u); bad == nil {
			add(ownerDay{words[1], u.Owner}, u.Usage)
		}
		return bad == nil
	})
	if bad != nil {
		return fault.New(fault.Internal, "usage.Usage", "an internal error", bad)
	}
	return err
}
