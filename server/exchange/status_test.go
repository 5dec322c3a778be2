package exchange

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

func TestEveryKindHasARefusal(t *testing.T) {
	for _, kind := range fault.Kinds() {
		if _, ok := refusals[kind]; !ok {
			t.Errorf("%s has no row in refusals", kind)
		}
	}
	for kind, row := range refusals {
		if kind.Retryable() && row.ttl > 0 {
			t.Errorf("%s may pass by itself, and yet is kept for %v", kind, row.ttl)
		}
		if row.title == "" {
			t.Errorf("%s has no title", kind)
		}
	}
}

func TestDocsHaveEveryCode(t *testing.T) {
	text, err := os.ReadFile("../../docs/urls.md")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([45]\d\d) \| ([a-z_, ]+) \|`).FindAllStringSubmatch(string(text), -1) {
		for kind := range strings.SplitSeq(row[2], ", ") {
			got[kind] = row[1]
		}
	}
	// The private listener's own, and what no viewer sees.
	const others = " unauthorized forbidden_scope not_found no_such_job method_not_allowed idempotency_conflict body_too_large body_timeout bad_unit bad_selector queue_full quota_exceeded disk_full canceled "
	for _, kind := range fault.Kinds() {
		want := strconv.Itoa(refusalOf(kind).status)
		if strings.Contains(others, " "+string(kind)+" ") {
			want = ""
		}
		if got[string(kind)] != want {
			t.Errorf("docs/urls.md has %s with status %q, want %q", kind, got[string(kind)], want)
		}
		delete(got, string(kind))
	}
	for kind := range got {
		t.Errorf("docs/urls.md has %s, which does not exist", kind)
	}
}
