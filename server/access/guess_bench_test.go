package access

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

// BenchmarkBadToken measures what a guess at a token could learn from the time that its refusal takes: the medians of
// many short rounds, in turn so that the machine's other work meets all alike, against that of a token of the right
// length whose first byte is wrong. Equal is 1.
func BenchmarkBadToken(b *testing.B) {
	const right, batch = "0123456789abcdef0123456789abcdef", 500
	tokens := make([]Token, 5)
	for i := range tokens {
		tokens[i] = Token{Name: "t", Token: right[:31] + string(rune('A'+i))}
	}
	tokens[3].Token = right
	list, err := readTokens(API{Tokens: tokens})
	if err != nil {
		b.Fatal(err)
	}
	r := &Current{callers: list}
	guesses := []struct {
		name, token string
		known       bool
	}{
		{"first-byte-wrong", "X" + right[1:], false}, {"last-byte-wrong/first", right[:31] + "X", false}, {"half/first", right[:16] + "XXXXXXXXXXXXXXXX", false},
		{"short/first", right[:31], false}, {"right/first", right, true},
	}
	took := make([][]time.Duration, len(guesses))
	for b.Loop() {
		for i, g := range guesses {
			req := &http.Request{Header: http.Header{"Authorization": {"Bearer " + g.token}}}
			begun := time.Now()
			for range batch {
				if _, ok := r.holder(req); ok != g.known {
					b.Fatalf("%s: known %v", g.name, ok)
				}
			}
			took[i] = append(took[i], time.Since(begun))
		}
	}
	for i := range took {
		slices.Sort(took[i])
	}
	first := took[0][len(took[0])/2]
	b.ReportMetric(float64(first.Nanoseconds())/batch, "ns/guess")
	for i := 1; i < len(guesses); i++ {
		b.ReportMetric(float64(took[i][len(took[i])/2])/float64(first), guesses[i].name)
	}
}
