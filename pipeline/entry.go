package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/variant"
)

// entry wraps an image for the cache.
func (r *run) entry(img variant.Image) cache.Entry {
	sum := sha256.Sum256(img.Body)
	attrs := variant.Facts{Image: img, SourceBytes: r.from().Bytes(), Provenance: r.provenance()}.Encode()
	if began := r.generation.String(); began != "" {
		attrs[cache.GenerationAttr] = began
	}
	return cache.Entry{Body: img.Body, Meta: cache.Meta{
		ContentType: img.Format.MediaType(), ETag: `"` + hex.EncodeToString(sum[:12]) + `"`, Size: int64(len(img.Body)),
		Created: r.p.parts.Now().UTC().Truncate(time.Second), Recipe: variant.Recipe, Attrs: attrs,
	}}
}

// provenance is where the run's entries come from. What is made from a master grows old with it, and comes from where
// it came.
func (r *run) provenance() variant.Provenance {
	if m := r.download.master; m != nil {
		from := m.facts.Provenance
		from.Since = r.p.age(m.entry.Meta)
		return from
	}
	o := r.download.original
	honoured := r.p.cfg.HonourOrigin && o.Fresh.Said
	return variant.Provenance{Via: o.Via, ViaKnown: true, Life: o.Fresh.TTL, HasLife: honoured}
}

// noStore reports whether the origin forbids keeping what is made of its original.
func (r *run) noStore() bool {
	fresh := r.download.original.Fresh // Zero of a master, which is there because it may be kept.
	return r.p.cfg.HonourOrigin && (fresh.NoStore || fresh.Private)
}
