package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// OwnerUsage is what one token may use, and has used.
type OwnerUsage struct {
	Owner string     `json:"owner"` // name of the token
	Quota Quota      `json:"quota"`
	Days  []DayUsage `json:"days"` // the latest first, without those of which there is nothing to tell
}

// Quota is what a token may use; nil = as much as it wants.
type Quota struct {
	UnitsQueued *Remaining `json:"units_queued"`
	ImagesADay  *Remaining `json:"images_a_day"`
}

// Remaining is what is left of a quota.
type Remaining struct {
	Limit     int64 `json:"limit"`
	Used      int64 `json:"used"`
	Remaining int64 `json:"remaining"`
}

// DayUsage is what a token has used in a day of UTC. Bytes are those of the variants that were made.
type DayUsage struct {
	Day       string `json:"day"` // 2026-11-23
	DataUnits int64  `json:"data_units"`
	Images    int64  `json:"images"`
	Made      int64  `json:"made"`
	Present   int64  `json:"present"`
	Broken    int64  `json:"broken"`
	Failed    int64  `json:"failed"`
	Refused   int64  `json:"refused"` // calls and retries for which the quota had no room
	Bytes     Bytes  `json:"bytes"`
}

// Usage tells what the token has used in the last days, today included, and has left; to a token with the scope admin
// what all have, or the owner that is named. days 0 = a week; "" = no owner is named.
func (a *API) Usage(ctx context.Context, owner string, days int) ([]OwnerUsage, error) {
	query := url.Values{}
	if owner != "" {
		query.Set("owner", owner)
	}
	if days > 0 {
		query.Set("days", strconv.Itoa(days))
	}
	var out struct {
		Usage []OwnerUsage `json:"usage"`
	}
	err := a.fetch(ctx, request{method: http.MethodGet, path: "/v1/usage", query: query}, &out)
	return out.Usage, err
}
