package usage

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// Quota bounds what the calls of one token may ask for.
type Quota struct {
	// UnitsQueued is how many Data Units the token may have in jobs that have not ended, and pictures of the
	// predecessor's call that wait. 0 = no limit.
	UnitsQueued int `yaml:"units_queued"`
	// ImagesADay is how many images its calls and retries may ask for in one day of UTC. 0 = no limit.
	ImagesADay int `yaml:"images_a_day"`
}

// LeastKeep is the shortest prewarm.keep with a quota of images a day: what was used must outlive the day.
const LeastKeep = 24 * time.Hour

// Validate reports a limit that cannot work.
func (q Quota) Validate() error {
	var errs []error
	if q.UnitsQueued < 0 {
		errs = append(errs, fmt.Errorf("quota.units_queued: %d must not be negative", q.UnitsQueued))
	}
	if q.ImagesADay < 0 {
		errs = append(errs, fmt.Errorf("quota.images_a_day: %d must not be negative", q.ImagesADay))
	}
	return errors.Join(errs...)
}

// unitsAgain is when a call that found too many units queued may be sent again: jobs take seconds to minutes.
const unitsAgain = 30 * time.Second

// admits reports what a call exceeds, first what lasts longer; spent is what its token has used so far.
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

// used is what counts for a quota.
type used struct{ units, images int64 }

func over(limit int, used, asked int64) bool {
	return limit > 0 && asked > 0 && used+asked > int64(limit)
}

// exceeds is the sentence about an exceeded quota; format names its limit, what is used, and what the call asks for.
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
