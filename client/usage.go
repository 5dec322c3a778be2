package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// OwnerUsage is the quota and use of one token.
type OwnerUsage struct {
	Owner string     `json:"owner"` // name of the token
	Quota Quota      `json:"quota"`
	Days  []DayUsage `json:"days"` // the latest first; days without use are left out
}

// Quota is what a token may use; nil = no limit.
type Quota struct {
	UnitsQueued *Remaining `json:"units_queued"`
	ImagesADay  *Remaining `json:"images_a_day"`
}

// Remaining is the use of one quota.
type Remaining struct {
	Limit     int64 `json:"limit"`
	Used      int64 `json:"used"`
	Remaining int64 `json:"remaining"`
}

// DayUsage is the use of one day (UTC). Bytes are those of the variants that were made.
type DayUsage struct {
	Day       string `json:"day"` // 2026-11-23
	DataUnits int64  `json:"data_units"`
	Images    int64  `json:"images"`
	Made      int64  `json:"made"`
	Present   int64  `json:"present"`
	Broken    int64  `json:"broken"`
	Failed    int64  `json:"failed"`
	Refused   int64  `json:"refused"` // calls and retries that exceeded the quota
	Bytes     Bytes  `json:"bytes"`
}

// Usage returns the token's use in the last days, today included, and what remains; with the scope admin that of all
// owners, or of the named one. days 0 = a week; "" = no owner is named.
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
