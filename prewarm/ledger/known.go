package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// brokenFor is how long the ledger answers that a source is broken without another try: as long as the longest pause of
// viewers' fetches. A retry of the job or a purge of the source ends it.
const brokenFor = time.Hour

// maxBrokenVariants bounds the variants remembered for one source.
const maxBrokenVariants = 64

// knownRecord is what the ledger knows to be broken about a source. It is separate from the feed of broken sources: a
// value that only looked like an image is not in the feed.
type knownRecord struct {
	Reason fault.Kind `json:"reason,omitempty"`
	// Whole is when the source was found broken for every variant, for Reason; zero = it was not.
	Whole time.Time `json:"whole,omitzero"`
	// Variants are the single variants that cannot be made, by variantID.
	Variants map[string]badVariant `json:"variants,omitempty"`
	Basis    string                `json:"basis,omitempty"` // Deps.Basis when found; the record applies only to it
}

type badVariant struct {
	Reason fault.Kind `json:"reason"`
	At     time.Time  `json:"at"`
}

// Bad is a source that the current try of a task found broken, as a whole or for some variants.
type Bad struct {
	BrokenSource
	Basis    string // Deps.Basis when the try began
	Listed   bool   // it belongs in the feed
	Whole    bool
	variants map[string]badVariant
}

// Failed records that the source failed when a variant was requested.
func (f *Bad) Failed(ref variant.Ref) {
	if f.Whole = isWhole(f.Reason, ref.Spec); !f.Whole {
		if f.variants == nil {
			f.variants = map[string]badVariant{}
		}
		f.variants[variantID(ref.Key())] = badVariant{f.Reason, f.At}
	}
}

// variantID is a short hash of a Key.
func variantID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}

// isWhole reports whether no variant of the source can be made, because the failure lies in the original and not in the
// options.
func isWhole(k fault.Kind, spec variant.Spec) bool {
	switch k {
	case fault.SourceNotFound, fault.NotAnImage, fault.UnsupportedFormat, fault.DecodeFailed, fault.TruncatedSource, fault.SourceForbidden,
		fault.DNSFailed, fault.SourceNotAllowed, fault.AddressBlocked:
		return true
	case fault.SourceTooLarge, fault.TooManyPixels:
		return spec.Limits == variant.Limits{}
	}
	return false
}

// isFresh reports whether a finding is still valid. It is not if the clock was set back.
func isFresh(at, now time.Time) bool {
	age := now.Sub(at)
	return !at.IsZero() && age >= 0 && age < brokenFor
}

// isConfigured reports whether a failure depends only on the configuration or on a token's rights. Finding it again
// costs no fetch, so the ledger never answers it.
func isConfigured(k fault.Kind) bool { return k == fault.SourceNotAllowed || k == fault.AddressBlocked }

// Against returns why a variant is known to be broken; "" = it is not.
func (k knownRecord) Against(key string, now time.Time) fault.Kind {
	if isFresh(k.Whole, now) && !isConfigured(k.Reason) {
		return k.Reason
	}
	if v := k.Variants[variantID(key)]; isFresh(v.At, now) && !isConfigured(v.Reason) {
		return v.Reason
	}
	return ""
}

// with returns the record with a new finding added.
func (k knownRecord) with(f Bad, now time.Time) knownRecord {
	if f.Whole {
		return knownRecord{Reason: f.Reason, Whole: f.At, Basis: f.Basis}
	}
	all := map[string]badVariant{}
	for id, v := range k.Variants {
		if isFresh(v.At, now) {
			all[id] = v
		}
	}
	for id, v := range f.variants {
		if _, known := all[id]; known || len(all) < maxBrokenVariants {
			all[id] = v
		}
	}
	return knownRecord{Variants: all, Basis: f.Basis}
}

// ReadKnown reads what is known to be broken about a source under the current basis. If there is no record, the
// returned one has no Revision.
func (s *Views) ReadKnown(ctx context.Context, hash string) (k knownRecord, r Record, err error) {
	key := "known." + hash
	r, err = s.Store.Read(ctx, key)
	if errors.Is(err, ErrNoRecord) {
		return k, Record{Key: key}, nil
	}
	if err == nil {
		err = json.Unmarshal(r.Body, &k)
	}
	if k.Basis != s.Basis() {
		k = knownRecord{}
	}
	return k, r, err
}

// KeepKnown records a finding about a source, if its basis is still the current one.
func (s *Views) KeepKnown(ctx context.Context, hash string, f Bad) error {
	for f.Basis == s.Basis() {
		k, r, err := s.ReadKnown(ctx, hash)
		if err != nil {
			return err
		}
		if r.Body, err = json.Marshal(k.with(f, s.Now())); err != nil {
			return err
		}
		if err := s.Store.Write(ctx, &r); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return nil
}

// Forget deletes what is known about broken sources whose variants have keys under prefix ("v1/", "v1/ab/",
// "v1/ab/<hash>/"), so that they are tried again.
func (s *Views) Forget(ctx context.Context, prefix string) error {
	words := strings.Split(prefix, "/")
	if len(words) > 3 { // all of one source
		return s.Erase(ctx, "known."+words[2])
	}
	hash := words[len(words)-1]
	if hash == "" && len(words) == 3 {
		hash = words[1] // the second word is the beginning of the third
	}
	var keys []string
	err := s.Store.List(ctx, Scan{Prefix: "known"}, func(r Record) bool {
		if strings.HasPrefix(r.Key, "known."+hash) {
			keys = append(keys, r.Key)
		}
		return true
	})
	for _, key := range keys {
		err = errors.Join(err, s.Erase(ctx, key))
	}
	return err
}
