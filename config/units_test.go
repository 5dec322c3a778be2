package config

import (
	"testing"
	"time"
)

func TestParseQuantity(t *testing.T) {
	tests := []struct {
		unit, text string
		want       int64
		ok         bool
	}{
		{"bytes", "0", 0, true},
		{"bytes", "1500", 1500, true},
		{"bytes", "32MiB", 32 << 20, true},
		{"bytes", "32 MiB", 32 << 20, true},
		{"bytes", "32mib", 32 << 20, true},
		{"bytes", "64kB", 64_000, true},
		{"bytes", "64KB", 64_000, true},
		{"bytes", "1GiB", 1 << 30, true},
		{"bytes", "1.5GiB", 3 << 29, true},
		{"bytes", "2TB", 2_000_000_000_000, true},
		{"bytes", "7B", 7, true},
		{"bytes", "", 0, false},
		{"bytes", "MiB", 0, false},
		{"bytes", "-1", 0, false},
		{"bytes", "-1MiB", 0, false},
		{"bytes", "1.5", 0, false},
		{"bytes", "1e3", 0, false},
		{"bytes", "NaNMiB", 0, false},
		{"bytes", "InfMiB", 0, false},
		{"bytes", "1_000", 0, false},
		{"bytes", "50MP", 0, false},
		{"bytes", "32M", 0, false},
		{"bytes", "9223372036854775807", 1<<63 - 1, true},
		{"bytes", "9223372036854775808", 0, false},
		{"bytes", "8388608TiB", 0, false},
		{"pixels", "50MP", 50_000_000, true},
		{"pixels", "0.5MP", 500_000, true},
		{"pixels", "640000", 640_000, true},
		{"pixels", "50MiB", 0, false},
	}
	for _, tt := range tests {
		got, err := parseQuantity(tt.unit, tt.text)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("parseQuantity(%q, %q) = %d, %v, want %d, ok %v", tt.unit, tt.text, got, err, tt.want, tt.ok)
		}
	}
}

func TestParseDuration(t *testing.T) {
	tests := []struct {
		text string
		want time.Duration
		ok   bool
	}{
		{"0", 0, true},
		{"25s", 25 * time.Second, true},
		{"300ms", 300 * time.Millisecond, true},
		{"1h30m", 90 * time.Minute, true},
		{"168h", 7 * day, true},
		{"30d", 30 * day, true},
		{"1d12h", 36 * time.Hour, true},
		{"", 0, false},
		{"d", 0, false},
		{"25", 0, false},
		{"-1s", 0, false},
		{"+1s", 0, false},
		{"-1d", 0, false},
		{"1d-1h", 0, false},
		{"1.5d", 0, false},
		{"1h1d", 0, false},
		{"65535d2500000h", 0, false},
		{"99999999d", 0, false},
		{"week", 0, false},
	}
	for _, tt := range tests {
		got, err := parseDuration(tt.text)
		if err != nil {
			got = 0
		}
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("parseDuration(%q) = %v, %v, want %v, ok %v", tt.text, got, err, tt.want, tt.ok)
		}
	}
}

func TestQuantitiesAndDurationsPrintShort(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{formatQuantity("bytes", 32<<20), "32MiB"},
		{formatQuantity("bytes", 1536<<20), "1536MiB"},
		{formatQuantity("bytes", 64_000), "64kB"},
		{formatQuantity("bytes", 1001), "1001"},
		{formatQuantity("bytes", 0), "0"},
		{formatQuantity("pixels", 50_000_000), "50MP"},
		{formatQuantity("pixels", 500_000), "500000"},
		{formatDuration(0), "0"},
		{formatDuration(720 * time.Hour), "720h"},
		{formatDuration(10 * time.Minute), "10m"},
		{formatDuration(90 * time.Second), "1m30s"},
		{formatDuration(time.Hour + time.Second), "1h0m1s"},
		{formatDuration(300 * time.Millisecond), "300ms"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

// What is read is printed so that it reads the same again.
func FuzzUnits(f *testing.F) {
	for _, s := range []string{"32MiB", "0.5MP", "1d12h", "9223372036854775807", "1.999999GB", "-5", "300ms", "0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []string{"bytes", "pixels"} {
			n, err := parseQuantity(kind, text)
			if err != nil {
				continue
			}
			if again, err := parseQuantity(kind, formatQuantity(kind, n)); n < 0 || err != nil || again != n {
				t.Errorf("parseQuantity(%q, %q) = %d, and again %d, %v", kind, text, n, again, err)
			}
		}
		d, err := parseDuration(text)
		if err != nil {
			return
		}
		if again, err := parseDuration(formatDuration(d)); d < 0 || err != nil || again != d {
			t.Errorf("parseDuration(%q) = %v, and again %v, %v", text, d, again, err)
		}
	})
}
