package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// expectation is a row of data-units.expected.tsv.
type expectation struct {
	line            int
	level, url, why string
}

// units reads the corpus' Data Units and their expectations, with the origin's address inserted.
func units(t *testing.T, origin string) (lines []string, expected []expectation) {
	t.Helper()
	dir := corpus(t)
	read := func(name string) []string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(text), "{{ORIGIN}}", origin), "\n"), "\n")
	}
	for _, row := range read("data-units.expected.tsv")[1:] {
		f := strings.Split(row, "\t")
		e := expectation{level: f[2], url: f[3], why: f[4]}
		fmt.Sscanf(f[0], "%d", &e.line)
		expected = append(expected, e)
	}
	return read("data-units.jsonl"), expected
}

// brokenAs is the expected state and reason of a source of the corpus, or its path; ok: it must be made or present.
func brokenAs(source string) (state, reason string, ok bool) {
	if _, rest, ok := strings.Cut(source, "://"); ok {
		_, source, _ = strings.Cut(rest, "/")
	}
	switch part := strings.Split(strings.TrimPrefix(source, "/"), "/"); part[0] {
	case "missing", "gone":
		return "broken", "source_not_found", false
	case "err":
		if part[1] == "403" {
			return "broken", "source_forbidden", false
		}
		return "failed", "source_error", false
	case "hostile", "pages", "docs", "video":
		return "", "", false // Other tests check these.
	}
	return "", "", true
}

// post sends the lines in batches and returns the verdicts by line number, from 1.
func post(t *testing.T, s *server, lines []string, batch int) (verdicts map[int][]verdict, counts map[string]int) {
	t.Helper()
	verdicts, counts = map[int][]verdict{}, map[string]int{}
	jobs := map[int]string{} // by the number of its first line
	for first := 0; first < len(lines); first += batch {
		a := s.prewarm("?return=none", strings.Join(lines[first:min(first+batch, len(lines))], "\n"), "Content-Type", "application/x-ndjson")
		if len(a.Units) != 0 {
			t.Errorf("units from line %d on were not accepted: %+v", first+1, a.Units)
		}
		jobs[first] = a.Job
	}
	for first, id := range jobs {
		j := s.ended(id)
		for name, n := range j.Counts {
			counts[name] += n
		}
		rows := map[string]int{}
		for _, v := range s.verdicts(id) {
			verdicts[first+v.Index+1] = append(verdicts[first+v.Index+1], v)
			rows[v.State]++
		}
		for _, state := range []string{"made", "present", "broken", "failed", "skipped"} {
			if rows[state] != j.Counts[state] {
				t.Errorf("job %s counts %d %s, its results %d", id, j.Counts[state], state, rows[state])
			}
		}
	}
	return verdicts, counts
}

// Of the thousand units every expected image is found, with the right verdict and reason, and nothing else is fetched.
// If they are posted again, nothing is fetched or made.
func TestPrewarmCorpus(t *testing.T) {
	if testing.Short() {
		t.Skip("makes two thousand pictures")
	}
	o := startOrigin(t)
	lines, expected := units(t, o.URL)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(o.URL, "http://"))
	// The guard allows this machine for the test. The ports keep forbidden sources from being fetched.
	s := start(t, append(prewarmEnv, "GOLDCREST_ORIGIN_PORTS=["+port+", 80, 443]")...)

	verdicts, counts := post(t, s, lines, 200)
	bySource := map[int]map[string]verdict{}
	for line, all := range verdicts {
		bySource[line] = map[string]verdict{}
		for _, v := range all {
			bySource[line][v.Source] = v
		}
	}
	for _, e := range expected {
		v, found := bySource[e.line][e.url]
		switch e.level {
		case "must":
			checkMust(t, e, v, found)
		case "never":
			if found && v.State != "broken" {
				t.Errorf("line %d: %s (%s) is %s", e.line, e.url, e.why, v.State)
			}
		case "should-not":
			if found && v.State != "skipped" && v.State != "broken" {
				t.Errorf("line %d: %s is %s %s, though it is no image", e.line, e.url, v.State, v.Reason)
			}
		}
	}
	for path := range o.paths() {
		if strings.HasPrefix(path, "/images/relative-") || strings.Contains(path, "meta-data") {
			t.Errorf("%s was fetched", path)
		}
	}
	t.Logf("counts %v, %d requests to the origin", counts, o.total())

	asked, encoded := o.paths(), s.metric("goldcrest_fills_total", `kind="none"`)
	_, again := post(t, s, lines, 200)
	for path, hits := range o.paths() {
		// Only temporary failures are fetched again; broken sources are not.
		if _, reason, _ := brokenAs(path); hits != asked[path] && reason != "source_error" {
			t.Errorf("posted again: %s was fetched %d times more", path, hits-asked[path])
		}
	}
	if n := s.metric("goldcrest_fills_total", `kind="none"`) - encoded; n != 0 || again["made"] != 0 {
		t.Errorf("posted again: %v variants encoded, %d made, want none", n, again["made"])
	}
	if again["present"] != counts["made"]+counts["present"] {
		t.Errorf("posted again: %d present, want the %d that were made", again["present"], counts["made"]+counts["present"])
	}
	t.Logf("posted again: counts %v", again)
}

// checkMust compares one verdict with the expected one.
func checkMust(t *testing.T, e expectation, v verdict, found bool) {
	t.Helper()
	if !found {
		t.Errorf("line %d: %s (%s) was not found", e.line, e.url, e.why)
		return
	}
	state, reason, ok := brokenAs(e.url)
	switch {
	case ok && v.State != "made" && v.State != "present":
		t.Errorf("line %d: %s is %s %s, want it made", e.line, e.url, v.State, v.Reason)
	case state != "" && (v.State != state || v.Reason != reason):
		t.Errorf("line %d: %s is %s %s, want %s %s", e.line, e.url, v.State, v.Reason, state, reason)
	case v.State == "pending" || v.State == "broken" && v.Reason == "":
		t.Errorf("line %d: %s is %s %q", e.line, e.url, v.State, v.Reason)
	}
}

// Every odd line is answered as its class requires, and the server stays up.
func TestPrewarmOddUnits(t *testing.T) {
	dir := corpus(t)
	o := startOrigin(t)
	s := start(t, prewarmEnv...)
	text, err := os.ReadFile(filepath.Join(dir, "data-units-odd.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	all := strings.ReplaceAll(string(text), "{{ORIGIN}}", o.URL)
	a := s.prewarm("", all, "Content-Type", "application/x-ndjson")
	refused := map[int]string{}
	images := map[int]int{}
	for _, u := range a.Units {
		if u.Error != nil {
			refused[u.Line] = u.Error.Code
		}
		images[u.Line] += len(u.Images)
	}
	for _, line := range []int{1, 9} {
		if refused[line] == "" {
			t.Errorf("line %d was accepted", line)
		}
	}
	if j := s.ended(a.Job); j.Counts["pending"] != 0 {
		t.Errorf("the job ended as %+v", j)
	}
	states := map[int]string{}
	for _, v := range s.verdicts(a.Job) {
		for _, u := range a.Units {
			if u.Index == v.Index {
				states[u.Line] += v.State + " "
			}
		}
	}
	for _, line := range []int{15, 17} {
		if refused[line] == "" && !strings.Contains(states[line], "broken") && images[line] > 0 {
			t.Errorf("line %d: %s", line, states[line])
		}
	}
	if images[13] != 2000 && refused[13] == "" {
		t.Errorf("line 13 has %d images", images[13])
	}
	t.Logf("refused %v, images %v", refused, images)
	for n, line := range strings.Split(all, "\n") {
		got := s.call("POST", "/v1/prewarm", line)
		if got.StatusCode >= 500 {
			t.Errorf("line %d alone: got %d %s", n+1, got.StatusCode, got.body)
		}
	}
}
