package pipeline

import (
	"context"
	"crypto/md5"  //nolint:gosec // hashsum is the caller's choice of checksum, not a defence
	"crypto/sha1" //nolint:gosec // as above
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/verbatim"
	"github.com/goldcrest/goldcrest/variant"
)

// accept removes the fills whose own limits or checksum the original does not meet. If the original is unchanged, it
// renews the old entry and returns no fill.
func (r *run) accept(ctx context.Context) (good []*fill) {
	if r.from.Same {
		r.renew(ctx, r.todo[0])
		return nil
	}
	in, first := r.from.Original, variant.Facts{}
	if r.first != nil {
		first = variant.DecodeFacts(r.first.Attrs)
	}
	for _, f := range r.todo {
		switch {
		case r.from.Lacks != nil && r.from.Lacks(f.spec) != nil:
			r.fail([]*fill{f}, r.from.Lacks(f.spec))
		case f.spec.Limits.Bytes > 0 && in.Bytes() > f.spec.Limits.Bytes:
			r.fail([]*fill{f}, fault.New(fault.SourceTooLarge, "pipeline.accept", "the original is larger than the URL allows", nil))
		case r.first != nil && first.SourceBytes != in.Bytes():
			r.fail([]*fill{f}, fault.New(fault.HashMismatch, "pipeline.accept", "the original has changed since the first stage was made", nil))
		case !sumMatches(f.spec, in.Body):
			r.fail([]*fill{f}, fault.New(fault.HashMismatch, "pipeline.accept", "the original does not have the checksum in the URL", nil))
		default:
			good = append(good, f)
		}
	}
	return good
}

// verbatim delivers the original to the fills that want it as it is, and returns the others.
func (r *run) verbatim(ctx context.Context, todo []*fill) (rest []*fill) {
	r.transformFrom = r.p.parts.Now()
	for _, f := range todo {
		switch img, ok, err := verbatim.Of(r.from.Original, f.spec); {
		case err != nil:
			r.fail([]*fill{f}, err)
		case ok:
			r.deliver(ctx, f, img)
		default:
			rest = append(rest, f)
		}
	}
	r.transformFrom = time.Time{}
	return rest
}

// fetchLimits returns the loosest limits of all fills, restricted to the hosts of the batch. accept applies each fill's
// own limits.
func (r *run) fetchLimits() origin.Limits {
	lim := origin.Limits{Within: r.b.within, Unless: r.unless()}
	for _, f := range r.todo {
		if f.spec.Limits.Bytes == 0 {
			lim.Bytes = 0
			return lim
		}
		lim.Bytes = max(lim.Bytes, f.spec.Limits.Bytes)
	}
	return lim
}

// sumMatches compares the original with the checksum in the spec, if there is one.
func sumMatches(s variant.Spec, body []byte) bool {
	var h hash.Hash
	switch s.HashType {
	case "":
		return true
	case "md5":
		h = md5.New() //nolint:gosec // see above
	case "sha1":
		h = sha1.New() //nolint:gosec // see above
	case "sha256":
		h = sha256.New()
	case "sha512":
		h = sha512.New()
	default:
		return false
	}
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil)) == s.HashSum
}
