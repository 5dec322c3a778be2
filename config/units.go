package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// measure is one suffix of a quantity and its factor.
type measure struct {
	suffix string
	factor int64
}

// The units by the name in a field's unit tag, longest suffix first, so that "KiB" is not read as "B".
var units = map[string][]measure{
	"bytes": {
		{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
		{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
	},
	"pixels": {{"MP", 1e6}},
}

// examples show valid quantities, for error messages.
var examples = map[string]string{"bytes": "32MiB, 64kB or a plain number", "pixels": "50MP or a plain number"}

// parseQuantity parses a number with a unit of the named kind. Case does not matter; a fraction is allowed with a unit.
func parseQuantity(kind, text string) (int64, error) {
	number, factor := text, int64(1)
	for _, u := range units[kind] {
		if n := len(text) - len(u.suffix); n > 0 && strings.EqualFold(text[n:], u.suffix) {
			number, factor = strings.TrimSpace(text[:n]), u.factor
			break
		}
	}
	wrong := fmt.Errorf("wants %s, not %q", examples[kind], text)
	if !plainNumber(number) {
		return 0, wrong
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if n > math.MaxInt64/factor {
			return 0, fmt.Errorf("is too large: %q", text)
		}
		return n * factor, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if f *= float64(factor); err != nil || factor == 1 || f >= math.MaxInt64 {
		return 0, wrong
	}
	return int64(math.Round(f)), nil
}

// plainNumber refuses the signs, exponents, infinities and underscores that strconv accepts.
func plainNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789.") == ""
}

// formatQuantity writes n with the largest unit that divides it, so that parseQuantity reads the same number.
func formatQuantity(kind string, n int64) string {
	for _, u := range units[kind] {
		if u.factor > 1 && n != 0 && n%u.factor == 0 {
			return strconv.FormatInt(n/u.factor, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

const day = 24 * time.Hour

// parseDuration parses Go's durations, days as a leading "30d", and a bare 0. Negative ones are refused.
func parseDuration(text string) (time.Duration, error) {
	wrong := fmt.Errorf("wants a duration like 300ms, 25s, 1h30m or 7d, not %q", text)
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "0", text
	} else if rest == "" {
		rest = "0"
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, wrong
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || strings.HasPrefix(rest, "+") || d > math.MaxInt64-time.Duration(n)*day {
		return 0, wrong
	}
	return time.Duration(n)*day + d, nil
}

// formatDuration is Go's text without trailing zeros: 720h, not 720h0m0s.
func formatDuration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
