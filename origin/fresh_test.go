package origin

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestFreshnessVectors(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for _, row := range vectors(t, "cache-control.tsv") {
		h := http.Header{"Date": {now.Format(http.TimeFormat)}}
		if row["origin_cache_control"] != "" {
			h.Set("Cache-Control", row["origin_cache_control"])
		}
		if s := row["origin_expires_in_s"]; s != "" {
			n, _ := strconv.Atoi(s)
			h.Set("Expires", now.Add(time.Duration(n)*time.Second).Format(http.TimeFormat))
		}
		minimum, _ := strconv.Atoi(row["min_ttl_s"])
		f := parseFreshness(h, now.Add(time.Hour)) // The origin's own Date counts, not our clock.
		got := f.TTL
		if !f.NoStore && !f.Private {
			got = max(got, time.Duration(minimum)*time.Second)
		}
		first, _, _ := strings.Cut(strings.TrimRight(row["expected_ttl_s_or_rule"], ":"), " ")
		want, err := strconv.Atoi(strings.TrimRight(first, ":"))
		if err != nil { // c01: nothing said.
			if f.Said || got != 0 {
				t.Errorf("%s: %+v, want nothing said", row["id"], f)
			}
			continue
		}
		if got != time.Duration(want)*time.Second {
			t.Errorf("%s: lifetime = %v of %+v, want %d s", row["id"], got, f, want)
		}
	}
}

func TestFreshness(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	tests := []struct {
		name string
		h    http.Header
		want Freshness
	}{
		{"age is taken off", http.Header{"Cache-Control": {"max-age=100"}, "Age": {"30"}}, Freshness{TTL: 70 * time.Second, Said: true}},
		{"older than its time", http.Header{"Cache-Control": {"max-age=100"}, "Age": {"300"}}, Freshness{Said: true}},
		{"several lines, any case", http.Header{"Cache-Control": {"Public", "S-MaxAge=\"5\""}}, Freshness{TTL: 5 * time.Second, Said: true}},
		{"nonsense is stale", http.Header{"Cache-Control": {"max-age=-1"}}, Freshness{Said: true}},
		{"beyond all numbers", http.Header{"Cache-Control": {"max-age=99999999999999999999999"}}, Freshness{TTL: 3650 * 24 * time.Hour, Said: true}},
		{"expired by 0", http.Header{"Expires": {"0"}}, Freshness{Said: true}},
		{"no Date: our clock", http.Header{"Expires": {now.Add(time.Minute).Format(http.TimeFormat)}}, Freshness{TTL: time.Minute, Said: true}},
		{"no-store beats all", http.Header{"Cache-Control": {"max-age=9, no-store"}}, Freshness{Said: true, NoStore: true}},
		{"private with names", http.Header{"Cache-Control": {`private="set-cookie", max-age=9`}}, Freshness{Said: true, Private: true}},
	}
	for _, tt := range tests {
		if got := parseFreshness(tt.h, now); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
