package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// BrokenSource is a source that was found broken.
type BrokenSource struct {
	Source string     `json:"source"`
	Reason fault.Kind `json:"reason"`
	At     time.Time  `json:"at"`
}

// BrokenCount is one row of the feed of broken sources. At is when the source was last found broken.
type BrokenCount struct {
	BrokenSource
	Count int `json:"count"` // how often it was found broken
}

// brokenRecord is the ledger's record of a broken source.
type brokenRecord struct {
	Source string     `json:"source"`
	Reason fault.Kind `json:"reason"`
	Count  int        `json:"count"`
	At     time.Time  `json:"at"`
	Owners []string   `json:"owners,omitempty"` // names of the tokens whose jobs had it
	Basis  string     `json:"basis,omitempty"`  // Deps.Basis when it was last found broken
}

// seenBy reports whether a caller may see a row of the feed, and whether it may see the source's query too.
func (b brokenRecord) seenBy(who Caller) (seen, shown bool) {
	if len(b.Owners) == 0 {
		return who.All, who.All
	}
	own := slices.ContainsFunc(b.Owners, who.Shows)
	return who.All || own, own
}

// Remember increments the count of a broken source, for a job of owner.
func (s *Views) Remember(ctx context.Context, hash, owner string, b Bad) error {
	key := "broken." + hash
	for {
		var known brokenRecord
		r, err := s.Store.Read(ctx, key)
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
		r.Body, err = json.Marshal(brokenRecord{b.Source, b.Reason, known.Count + 1, b.At, known.Owners, b.Basis})
		if err != nil {
			return err
		}
		r.Mark = string(b.Reason)
		if err := s.Store.Write(ctx, &r); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// Broken lists at most limit sources that were found broken at or after since, in jobs that the caller may see, oldest
// first.
func (s *Views) Broken(ctx context.Context, who Caller, since time.Time, limit int) ([]BrokenCount, error) {
	limit = min(max(limit, 1), 10*maxPage)
	var out []BrokenCount
	var bad error
	err := s.Store.List(ctx, Scan{Prefix: "broken", Since: since, Bodies: true}, func(r Record) bool {
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

// ShareFeed shows owner a feed row of a source that was found broken in another owner's job. The write is best effort:
// owner also learns of it from the verdict.
func (s *Views) ShareFeed(ctx context.Context, hash, owner string) error {
	r, err := s.Store.Read(ctx, "broken."+hash)
	var b brokenRecord
	if err != nil || json.Unmarshal(r.Body, &b) != nil || owner == "" || slices.Contains(b.Owners, owner) || len(b.Owners) >= maxOwners {
		return nil
	}
	b.Owners = append(b.Owners, owner)
	if r.Body, err = json.Marshal(b); err == nil {
		err = s.Store.Write(ctx, &r)
	}
	if errors.Is(err, ErrConflict) {
		return nil
	}
	return err
}

// CheckBroken reports whether a source is known to be broken, and why.
func (s *Views) CheckBroken(ctx context.Context, hash string) (State, fault.Kind, error) {
	if strings.Trim(hash, "0123456789abcdef") != "" {
		return Unknown, "", nil
	}
	r, err := s.Store.Read(ctx, "broken."+hash)
	if errors.Is(err, ErrNoRecord) {
		return Unknown, "", nil
	}
	var b brokenRecord
	if err == nil {
		err = json.Unmarshal(r.Body, &b)
	}
	if err == nil && b.Basis != s.Basis() {
		return Unknown, "", nil
	}
	return Broken, b.Reason, err
}
