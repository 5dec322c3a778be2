package usage

import (
	"fmt"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/invalid"
)

// Quota bounds what the calls of one token may request.
type Quota struct {
	// UnitsQueued bounds the Data Units of the token in jobs that have not ended, plus the waiting pictures of its
	// predecessor calls. 0 = no limit.
	UnitsQueued int `yaml:"units_queued"`
	// ImagesADay bounds the images that its calls and retries may request in one day (UTC). 0 = no limit.
	ImagesADay int `yaml:"images_a_day"`
}

// LeastKeep is the shortest prewarm.keep with a quota of images per day: the counts must outlive the day.
const LeastKeep = 24 * time.Hour

// Validate reports invalid limits.
func (q Quota) Validate() error {
	var bad invalid.Values
	bad.If(q.UnitsQueued < 0, "quota.units_queued: %d must not be negative", q.UnitsQueued)
	bad.If(q.ImagesADay < 0, "quota.images_a_day: %d must not be negative", q.ImagesADay)
	return bad.Err()
}

// unitsAgain is the Retry-After of a call that found too many units queued: jobs take seconds to minutes.
const unitsAgain = 30 * time.Second

// admits returns an error if a call exceeds the quota, first for the longer-lasting limit. spent is what its token has
// used so far.
func (q Quota) admits(spent, asked used, now time.Time) error {
	if over(q.ImagesADay, spent.images, asked.images) {
		text := exceeds("images_a_day is used up: %d images may be asked for in a day of UTC, %d were, this call has %d", q.ImagesADay, spent.images, asked.images)
		tomorrow := now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
		return refusedFor(tomorrow.Sub(now), text)
	}
	if over(q.UnitsQueued, spent.units, asked.units) {
		text := exceeds("units_queued is used up: %d Data Units may be queued, %d are, this call has %d", q.UnitsQueued, spent.units, asked.units)
		return refusedFor(unitsAgain, text)
	}
	return nil
}

// used is what counts towards a quota.
type used struct{ units, images int64 }

func over(limit int, used, asked int64) bool {
	return limit > 0 && asked > 0 && used+asked > int64(limit)
}

// exceeds is the text for an exceeded quota. format takes the limit, what is used, and what the call requests.
func exceeds(format string, limit int, used, asked int64) string {
	text := "the token's quota " + fmt.Sprintf(format, limit, used, asked)
	if asked > int64(limit) {
		text = strings.Replace(text, "is used up", "is smaller than this call, which has to be split", 1)
	}
	return text
}

func refusedFor(wait time.Duration, text string) error {
	return fault.New(fault.QuotaExceeded, "usage.charge", text, nil).After(wait)
}
