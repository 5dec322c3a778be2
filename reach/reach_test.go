package reach

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

func of(t *testing.T, patterns ...string) Hosts {
	t.Helper()
	h, err := Of(patterns)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestEqualSetsAreEqual(t *testing.T) {
	a, b := of(t, "*.Example.com", "b.example", "2001:DB8:0::1", "b.example."), of(t, "2001:db8::1", "b.example", "*.example.com")
	if a != b {
		t.Errorf("%q and %q", a, b)
	}
	if of(t) != "" || !of(t).Allows("any.example") {
		t.Error("no pattern is not every host")
	}
	for _, bad := range []string{"", "*", "*.", "a.example/x", "a b", "*.*.example", "a,b", "http://a.example", strings.Repeat("a", 254)} {
		if h, err := Of([]string{bad}); err == nil {
			t.Errorf("%q is read as %q", bad, h)
		}
	}
}

func TestAllows(t *testing.T) {
	h := of(t, "*.example.com", "img.example.org", "192.0.2.1", "2001:db8::1")
	for host, want := range map[string]bool{
		"a.example.com": true, "A.B.EXAMPLE.com": true, "img.example.org.": true, "192.0.2.1": true, "::ffff:192.0.2.1": true, "2001:db8:0::1": true,
		"example.com": false, "badexample.com": false, "a.example.com.evil.org": false, ".example.com": false, "b.img.example.org": false,
		"192.0.2.10": false, "": false, "*": false, "*.example.com,img.example.org": false,
	} {
		if got := h.Allows(host); got != want {
			t.Errorf("Allows(%q) = %t", host, got)
		}
	}
}

func TestAnd(t *testing.T) {
	a, b, c := of(t, "*.example.com", "x.example"), of(t, "img.example.com", "y.example"), of(t, "img.example.com")
	both := a.And(b)
	if !both.Allows("img.example.com") || both.Allows("x.example") || both.Allows("y.example") || both.Allows("a.example.com") {
		t.Errorf("%q is not what both have", both)
	}
	if a.And("") != a || Hosts("").And(a) != a || a.And(a) != a || b.And(a) != both || both.And(b) != both || both.And(c) != c.And(both) {
		t.Error("equal sets are not equal")
	}
}

func TestVia(t *testing.T) {
	v := Via("").Through("cdn.example.com").Through("b.example").Through("cdn.example.com")
	if v != "cdn.example.com b.example" {
		t.Errorf("via %q", v)
	}
	if !of(t, "*.example.com", "b.example").AllowsAll(v) || of(t, "*.example.com").AllowsAll(v) || !Hosts("").AllowsAll(v) || !of(t, "c.example").AllowsAll("") {
		t.Error("not every host counts, or the source's own does")
	}
	// What is too long to be kept is out of reach for all who are bounded, also where each of its hosts is allowed.
	long := v
	for i := range 9 {
		long = long.Through(strings.Repeat(string(rune('a'+i)), 30) + ".example.com")
	}
	if len(long) > maxVia || of(t, "*.example.com", "b.example").AllowsAll(long) || !Hosts("").AllowsAll(long) || long.Through("b.example") != long {
		t.Errorf("a long way is kept as %q", long)
	}
}

func TestRefused(t *testing.T) {
	err := Refused("x")
	if fault.KindOf(err) != fault.SourceNotAllowed || !errors.Is(err, ErrBeyond) {
		t.Error(err)
	}
}

// A hit of a caller without patterns, or of what came from the source's own host, is judged without allocation.
func TestHitsAllocateNothing(t *testing.T) {
	bound, hosts := of(t, "*.example.com", "b.example"), []Via{"", "cdn.example.com", "cdn.example.com b.example"}
	if n := testing.AllocsPerRun(100, func() {
		if slices.ContainsFunc(hosts, func(v Via) bool { return !bound.AllowsAll(v) || !Hosts("").AllowsAll(v) }) {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A bucket is no host, whatever its name: neither is allowed by the other's pattern.
func TestBucketsAndHostsAreDistinct(t *testing.T) {
	h := of(t, "*.example.com", "S3://media", "s3://tenant-*", "gs://*", "local://")
	for place, want := range map[string]bool{
		Place("https", "a.example.com"): true, Place("s3", "media"): true, Place("s3", "tenant-7"): true, Place("s3",
			"tenant-"): true,
		Place("gs", "any"): true, Place("local", ""): true,
		Place("s3", "a.example.com"): false, Place("http", "media"): false, Place("s3", "medium"): false, Place("s3",
			"media2"): false,
		Place("gs", ""): true, Place("ftp", "a.example.com"): false, Place("s3", "tenant"): false,
	} {
		if got := h.Allows(place); got != want {
			t.Errorf("Allows(%q) = %t", place, got)
		}
	}
	if of(t, "*.example.com").Allows(Place("local", "")) || of(t, "a.example").Allows(Place("s3", "a.example")) {
		t.Error("a pattern of hosts allows what is no host")
	}
	for _, bad := range []string{"s3://", "local://x", "local:///x", "ftp://x", "s3://a/b", "s3://*a", "s3://a:9",
		"https://a.example", "s3://a,b", "s3://a b"} {
		if h, err := Of([]string{bad}); err == nil {
			t.Errorf("%q is read as %q", bad, h)
		}
	}
}
