package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/variant"
)

// The entry attributes that say that a variant is not final, of how many bytes its original was, and what it scores.
const (
	stageAttr = "stage"
	sizeAttr  = "sb"
	scoreAttr = "score" // that was measured of it

	targetAttr = "target" // that its score was to reach
)

// entry wraps an image for the cache.
func (r *run) entry(img variant.Image, originalBytes int64) cache.Entry {
	sum := sha256.Sum256(img.Body)
	attrs := map[string]string{
		"w": strconv.Itoa(img.Width), "h": strconv.Itoa(img.Height), "q": strconv.Itoa(img.Quality), "fr": strconv.Itoa(img.Frames),
		"sw": strconv.Itoa(img.SourceWidth), "sh": strconv.Itoa(img.SourceHeight), "sf": img.SourceFormat,
		"sfr": strconv.Itoa(img.SourceFrames), sizeAttr: strconv.FormatInt(originalBytes, 10),
		viaAttr: string(r.download.original.Via),
	}
	if began := r.generation.String(); began != "" {
		attrs[cache.GenerationAttr] = began
	}
	if img.Stage != variant.StageFinal {
		attrs[stageAttr] = strconv.Itoa(int(img.Stage))
	}
	if img.AskedWidth > 0 && img.AskedHeight > 0 {
		attrs["aw"], attrs["ah"] = strconv.Itoa(img.AskedWidth), strconv.Itoa(img.AskedHeight)
	}
	if img.Placeholder != "" {
		attrs["ph"] = img.Placeholder
	}
	if img.Note != "" {
		attrs["note"] = img.Note
	}
	addChoice(attrs, img.Choice)
	return cache.Entry{Body: img.Body, Meta: cache.Meta{
		ContentType: img.Format.MediaType(), ETag: `"` + hex.EncodeToString(sum[:12]) + `"`, Size: int64(len(img.Body)),
		Created: r.p.parts.Now().UTC().Truncate(time.Second), Recipe: variant.Recipe, Attrs: attrs,
	}}
}

// addChoice notes how the quality was chosen, for explanations.
func addChoice(attrs map[string]string, c variant.Choice) {
	if c.Kind != "" {
		attrs["kind"], attrs["print"] = c.Kind, strconv.FormatFloat(c.Print, 'f', 2, 64)
	}
	if c.Target > 0 {
		attrs[targetAttr] = strconv.FormatFloat(c.Target, 'f', -1, 64)
	}
	if c.Predicted > 0 {
		attrs["predicted"] = strconv.Itoa(c.Predicted)
	}
	if c.Score > 0 {
		attrs[scoreAttr] = strconv.FormatFloat(c.Score, 'f', 1, 64)
	}
	if c.Tried != "" {
		attrs["tried"] = c.Tried
	}
}
