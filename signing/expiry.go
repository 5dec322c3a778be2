package signing

import "time"

// Day is the usual rounding of an expiry.
const Day = 24 * time.Hour

// Expiry is when a URL signed now for at least ttl should expire: rounded up to the next multiple of round since 1970
// (UTC; 0 means Day), so that all requests for the picture within that time share one URL, and a CDN keeps it once. A
// ttl of 0 or less never expires: the zero time.
func Expiry(now time.Time, ttl, round time.Duration) time.Time {
	if ttl <= 0 {
		return time.Time{}
	}
	if round <= 0 {
		round = Day
	}
	step := max(int64(round/time.Second), 1)
	end := now.Add(ttl + time.Second - 1).Unix() // whole seconds, rounded up
	return time.Unix((end+step-1)/step*step, 0).UTC()
}
