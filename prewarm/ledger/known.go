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

// brokenFor is how long what was found broken is answered from the ledger, without another look: as long as the longest
// pause that viewers' fetches make. A job's retry and a purge of the source make it be looked at again.
const brokenFor = time.Hour

// maxBrokenVariants bounds what is remembered of one source.
const maxBrokenVariants = 64

// knownRecord is what the ledger knows against a source, beside the feed of broken ones: what only looked like an image
// is in no feed.
type knownRecord struct {
	Reason fault.Kind `json:"reason,omitempty"`
	// Whole is when the source was found broken for every variant, for that Reason; zero = it was not.
	Whole time.Time `json:"whole,omitzero"`
	// Variants are those that alone cannot be made, by variantID.
	Variants map[string]badVariant `json:"variants,omitempty"`
	Basis    string                `json:"basis,omitempty"` // Deps.Basis when it was found: under another one nothing of it is known
}

type badVariant struct {
	Reason fault.Kind `json:"reason"`
	At     time.Time  `json:"at"`
}

// Bad is a source that this go at a task found broken: as a whole, or in some variants.
type Bad struct {
	BrokenSource
	Basis    string // what was in force when the go began
	Listed   bool   // it belongs into the feed
	Whole    bool
	variants map[string]badVariant
}

// Failed notes that the source failed when a variant was asked for.
func (f *Bad) Failed(ref variant.Ref) {
	if f.Whole = isWhole(f.Reason, ref.Spec); !f.Whole {
		if f.variants == nil {
			f.variants = map[string]badVariant{}
		}
		f.variants[variantID(ref.Key())] = badVariant{f.Reason, f.At}
	}
}

// variantID stands for a Key.
func variantID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}

// isWhole reports whether a failure says that no variant of the source can be made: it lies in the original, not in
// what was asked of it.
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

// isFresh reports whether what was found then still stands. A clock that was set back ends it.
func isFresh(at, now time.Time) bool {
	age := now.Sub(at)
	return !at.IsZero() && age >= 0 && age < brokenFor
}

// isConfigured reports whether a failure comes of the configuration, or of a token's rights, alone. It costs no fetch
// to find it again, so it is never answered from the ledger.
func isConfigured(k fault.Kind) bool { return k == fault.SourceNotAllowed || k == fault.AddressBlocked }

// Against is why a variant is known to be broken; "" = it is not.
func (k knownRecord) Against(key string, now time.Time) fault.Kind {
	if isFresh(k.Whole, now) && !isConfigured(k.Reason) {
		return k.Reason
	}
	if v := k.Variants[variantID(key)]; isFresh(v.At, now) && !isConfigured(v.Reason) {
		return v.Reason
	}
	return ""
}

// with takes in what was found now.
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

// ReadKnown reads what is known against a source, under what is in force; the record has no Revision where there is
// none.
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

// KeepKnown keeps what was found against a source, if what it was found under is still in force.
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

// Forget makes sources be looked at again that are known to be broken: those whose variants have keys under prefix
// ("v1/", "v1/ab/", "v1/ab/<hash>/").
func (s *Views) Forget(ctx context.Context, prefix string) error {
	words := strings.Split(prefix, "/")
	if len(words) > 3 { // All of one source.
		return s.Erase(ctx, "known."+words[2])
	}
	hash := words[len(words)-1]
	if hash == "" && len(words) == 3 {
		hash = words[1] // The second word is the beginning of the third.
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
