package unit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestSelectorsAreCharged: what a filter compares, counts and searches is charged in advance, so that a small body with
// a costly query ends after a bounded number of candidates.
func TestSelectorsAreCharged(t *testing.T) {
	list := func(n int, value string) string { return "[" + strings.Repeat(value+",", n) + value + "]" }
	many := func(n int) (members string) {
		for i := range n {
			members += fmt.Sprintf(`"m%d":0,`, i)
		}
		return members
	}
	large := list(50_000, "1")
	for _, tt := range []struct {
		what, query, unit string
	}{
		{"a large program on long texts", `$.a[?search(@, '(x|y|xy){200}z')]`, `{"a":` + list(500, `"`+strings.Repeat("x", 500)+`"`) + `}`},
		{"two large nodes of the unit", `$.a[?$.b==$.c]`, fmt.Sprintf(`{"a":%s,"b":%s,"c":%s}`, list(5000, "0"), large, large)},
		{"the same, in a function", `$.a[?value($.b)==@]`, fmt.Sprintf(`{"a":%s,"b":%s}`, list(5000, "0"), large)},
		{"one small candidate with a large sibling", `$[?@==$.c || $.b==$.c]`, fmt.Sprintf(`{%s"b":%s,"c":%s}`, many(2000), large, large)},
		{"a long text of the unit", `$.a[?length($.b)>3]`, fmt.Sprintf(`{"a":%s,"b":%q}`, list(5000, "0"), strings.Repeat("x", 100_000))},
	} {
		s, err := ParseSelector(tt.query)
		if err != nil {
			t.Fatalf("%s: %v", tt.what, err)
		}
		values := 250_000
		root, err := grow([]byte(tt.unit), &values)
		if err != nil {
			t.Fatal(err)
		}
		steps := maxSteps
		x := selection{src: []byte(tt.unit), root: root, steps: &steps, ctx: t.Context()}
		if err := x.run([]Selector{s}); !errors.Is(err, errTooManySteps) {
			t.Errorf("%s: %v after %d steps, want it refused", tt.what, err, maxSteps-steps)
		}
	}
}

// TestHangingUpStopsSelectors: selectors stop when the caller has left.
func TestHangingUpStopsSelectors(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ParseText(ctx, []byte(`{"a":["http://h/a"]}`), "", nil, Rules{Select: []string{"$.a[?@]"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
