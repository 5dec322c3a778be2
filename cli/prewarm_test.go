package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/goldcrest/goldcrest/cli/unitfile"
	"github.com/goldcrest/goldcrest/client"
)

// fakeAPI accepts calls of lines. A line that is not JSON is an error at its index. Each other line is a unit with one
// variant that is made, or has the state that the unit names.
type fakeAPI struct {
	mu     sync.Mutex
	bodies []string
	query  []string
	keys   map[string]bool
	refuse func(w http.ResponseWriter) bool
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.refuse != nil && f.refuse(w):
	case r.URL.Path == "/v1/prewarm":
		f.accept(w, r)
	case strings.HasSuffix(r.URL.Path, "/results"):
		id := strings.Split(r.URL.Path, "/")[3]
		fmt.Fprintf(w, `{"index":0,"id":"u","source":"https://c.example/%s","state":"made"}`+"\n", id)
	default:
		f.job(w, strings.TrimPrefix(r.URL.Path, "/v1/jobs/"))
	}
}

func (f *fakeAPI) accept(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.bodies, f.query = append(f.bodies, string(body)), append(f.query, r.URL.RawQuery)
	f.keys[r.Header.Get("Idempotency-Key")] = true
	a := client.Accepted{Job: fmt.Sprintf("j%d", len(f.bodies)-1), State: "queued"}
	for i, line := range strings.Split(strings.TrimSuffix(string(body), "\n"), "\n") {
		if line == "" {
			continue
		}
		if !json.Valid([]byte(line)) {
			a.Units = append(a.Units, client.AcceptedUnit{Index: i, Line: i + 1, Error: &client.UnitError{Code: "bad_unit", Detail: "it is no JSON", Pointer: "/x"}})
			continue
		}
		a.Counts.DataUnits++
		a.Counts.Variants++
	}
	w.WriteHeader(202)
	json.NewEncoder(w).Encode(a)
}

// job reports every job as ended at the first poll.
func (f *fakeAPI) job(w http.ResponseWriter, id string) {
	var n int
	fmt.Sscanf(id, "j%d", &n)
	j := client.Job{ID: id, State: "done", Bytes: client.Bytes{Source: 1000, Stored: 250, Saved: 750}}
	for line := range strings.SplitSeq(strings.TrimSpace(f.bodies[n]), "\n") {
		if !json.Valid([]byte(line)) {
			continue
		}
		j.Counts.DataUnits++
		j.Counts.Images++
		j.Counts.Variants++
		if strings.Contains(line, "failed") {
			j.Counts.Failed++
		} else {
			j.Counts.Made++
		}
	}
	json.NewEncoder(w).Encode(j)
}

// runCLI runs a command against api as the shell would.
func runCLI(t *testing.T, api http.Handler, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	srv := httptest.NewServer(api)
	defer srv.Close()
	var out, errs bytes.Buffer
	e := env{stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs, environ: []string{"GOLDCREST_URL=" + srv.URL, "GOLDCREST_TOKEN=a-good-token"}, version: "dev"}
	code = dispatch(t.Context(), e, args)
	return code, out.String(), errs.String()
}

func TestPrewarmCommand(t *testing.T) {
	api := &fakeAPI{keys: map[string]bool{}}
	verdicts := filepath.Join(t.TempDir(), "verdicts.jsonl")
	lines := `{"id":1}` + "\n" + `{"id":2}` + "\r\n\n" + `{"id":3}` + "\n" + `{"id":4}`
	code, out, errs := runCLI(t, api, lines, "prewarm", "-batch", "2", "-variants", "lite, std", "-select", "$.a", "-select", "/b", "-tag", "x", "-o", verdicts, "-")
	if code != exitOK {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	if want := []string{`{"id":1}` + "\n" + `{"id":2}` + "\n", `{"id":3}` + "\n" + `{"id":4}` + "\n"}; strings.Join(api.bodies, "|") != strings.Join(want, "|") {
		t.Errorf("posted %q, want %q", api.bodies, want)
	}
	if api.query[0] != "body=units&return=none&select=%24.a&select=%2Fb&tag=x&variants=lite%2Cstd" {
		t.Errorf("query %s", api.query[0])
	}
	if len(api.keys) != 2 {
		t.Errorf("%d idempotency keys for 2 batches", len(api.keys))
	}
	for _, want := range []string{"made                      4\n", "failed                    0\n", "from 4 images in 4 units", "75.0 % saved"} {
		if !strings.Contains(out, want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
	if !strings.Contains(errs, "100% 4/4 variants: 4 made, 0 present, 0 broken, 0 failed") || strings.ContainsAny(errs, "\r\x1b") {
		t.Errorf("progress without a terminal: %q", errs)
	}
	text, _ := os.ReadFile(verdicts)
	if got := strings.Count(string(text), "\n"); got != 2 || !strings.Contains(string(text), `"source":"https://c.example/j1"`) {
		t.Errorf("verdicts: %s", text)
	}
}

func TestPrewarmCommandFails(t *testing.T) {
	long := filepath.Join(t.TempDir(), "long.jsonl")
	if err := os.WriteFile(long, bytes.Repeat([]byte("x"), unitfile.MaxBytes+2), 0o600); err != nil {
		t.Fatal(err)
	}
	refusing := func(status int, code string) *fakeAPI {
		return &fakeAPI{keys: map[string]bool{}, refuse: func(w http.ResponseWriter) bool {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"status":%d,"code":%q,"detail":"it is so"}`, status, code)
			return true
		}}
	}
	good := func() *fakeAPI { return &fakeAPI{keys: map[string]bool{}} }
	for _, tc := range []struct {
		name  string
		api   *fakeAPI
		stdin string
		args  []string
		code  int
		want  []string // in the output
	}{
		{"no file", good(), "", []string{"prewarm"}, exitUsage, []string{"give one FILE with Data Units", "usage:"}},
		{"no such file", good(), "", []string{"prewarm", "nowhere.jsonl"}, exitFailed, []string{"nowhere.jsonl"}},
		{"two tokens", good(), "", []string{"prewarm", "-token", "a", "-token-file", "b", "-"}, exitUsage, []string{"only one of"}},
		{"no server", nil, "{}", []string{"prewarm", "-server", "nonsense", "-"}, exitUsage, []string{"private listener"}},
		{"failed", good(), `{"id":"failed"}`, []string{"prewarm", "-"}, exitFailed, []string{"1 variants failed", "failed                    1\n"}},
		{"a line that is no JSON", good(), "{}\n{\n{}\n", []string{"prewarm", "-batch", "1", "-"}, exitFailed, []string{"line 2: it is not valid JSON", "1 units could not be read", "made                      2\n"}},
		{"a line that is too long", good(), "", []string{"prewarm", long}, exitFailed, []string{"line 1: it has more than 15 MiB"}},
		{"a wrong token", refusing(401, "unauthorized"), "{}", []string{"prewarm", "-"}, exitFailed, []string{"it is so (401 unauthorized)", "api.tokens"}},
		{"a wrong scope", refusing(403, "forbidden_scope"), "{}", []string{"prewarm", "-"}, exitFailed, []string{"Add the scope"}},
	} {
		var handler http.Handler = http.NotFoundHandler()
		if tc.api != nil {
			handler = tc.api
		}
		code, out, errs := runCLI(t, handler, tc.stdin, tc.args...)
		if code != tc.code {
			t.Errorf("%s: exit %d, want %d: %s", tc.name, code, tc.code, errs)
		}
		for _, want := range tc.want {
			if !strings.Contains(out+errs, want) {
				t.Errorf("%s: %q is not in %s%s", tc.name, want, out, errs)
			}
		}
	}
}

func TestCheckAndPurgeCommands(t *testing.T) {
	var asked []string
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.URL.Path+" "+string(body))
		switch {
		case strings.Contains(string(body), "all"):
			io.WriteString(w, `{"purged":9,"cdn_tags":[],"cdn_all":true}`)
		case r.URL.Path == "/v1/purge":
			io.WriteString(w, `{"purged":2,"sources":1,"cdn_tags":["s-ab"]}`)
		case strings.Contains(string(body), "gone"):
			io.WriteString(w, `{"checked":[{"source":"https://c.example/gone.jpg","state":"broken","reason":"source_not_found","variants":[]}],"errors":[]}`)
		default:
			io.WriteString(w, `{"checked":[{"id":"u1","pointer":"/p","key":"v1/ab/x","state":"present","variants":[{"state":"present"}]}],"errors":[]}`)
		}
	})
	for _, tc := range []struct {
		args  []string
		stdin string
		code  int
		asked string
		want  []string
	}{
		{[]string{"check", "-keys", "v1/ab/x"}, "", exitOK, `/v1/check {"keys":["v1/ab/x"]}`, []string{"present    -                    1/1  v1/ab/x", "1 present, 0 pending"}},
		{[]string{"check", "-variants", "lite", "https://c.example/gone.jpg"}, "", exitFailed, `/v1/check {"variants":["lite"],"urls":["https://c.example/gone.jpg"]}`, []string{"broken     source_not_found     0/0  https://c.example/gone.jpg", "1 of 1 are not there"}},
		{[]string{"check", "-units", "-"}, "{\"p\":1}\n\n", exitOK, `/v1/check {"data_units":[{"data":{"p":1}}],"wrapped":true}`, []string{"u1 /p"}},
		{[]string{"check", "-units", "-"}, "{", exitFailed, "", []string{"unreadable line 1: it is not valid JSON", "1 units could not be read"}},
		{[]string{"check"}, "", exitUsage, "", []string{"give URLs"}},
		{[]string{"purge", "-source", "https://c.example/a.jpg"}, "", exitOK, `/v1/purge {"source":"https://c.example/a.jpg"}`, []string{"2 variants purged", "purge at the CDN: s-ab"}},
		{[]string{"purge", "-all"}, "", exitOK, `/v1/purge {"all":true}`, []string{"9 variants purged", "purge the CDN as a whole"}},
		{[]string{"purge"}, "", exitUsage, "", []string{"exactly one of"}},
		{[]string{"purge", "-unit", "a", "-tag", "b"}, "", exitUsage, "", []string{"exactly one of"}},
		{[]string{"purge", "-h"}, "", exitOK, "", []string{"-prefix"}},
	} {
		asked = nil
		code, out, errs := runCLI(t, api, tc.stdin, tc.args...)
		if code != tc.code || strings.Join(asked, "|") != tc.asked {
			t.Errorf("%v: exit %d, want %d; asked %v, want %s", tc.args, code, tc.code, asked, tc.asked)
		}
		for _, want := range tc.want {
			if !strings.Contains(out+errs, want) {
				t.Errorf("%v: %q is not in %s%s", tc.args, want, out, errs)
			}
		}
	}
}

// Ids of units and texts of servers come from outside: they cannot control the operator's terminal.
func TestOutsideTextDoesNotControlTheTerminal(t *testing.T) {
	const id, shown = `e\u001b]0;x\u0007\nbroken`, `e\u001b]0;x\u0007\u000abroken`
	var answer string
	status := http.StatusOK
	api := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", map[int]string{200: "application/json", 422: "application/problem+json"}[status])
		w.WriteHeader(status)
		io.WriteString(w, answer)
	})
	for _, x := range []struct {
		status int
		answer string
	}{
		{200, `{"checked":[{"index":0,"id":"` + id + `","source":"https://c.example/a.jpg","state":"broken"}]}`},
		{200, `{"errors":[{"index":0,"id":"` + id + `","error":{"code":"bad_unit","detail":"bad"}}]}`},
		{200, `{"notes":[{"index":0,"id":"` + id + `","note":{"code":"no_images","detail":"none"}}]}`},
		{422, `{"status":422,"code":"bad_unit","detail":"no: ` + id + `"}`},
	} {
		status, answer = x.status, x.answer
		_, out, errs := runCLI(t, api, `{"p":1}`, "check", "-units", "-")
		told := out + errs
		want := shown
		if x.status != 200 { // an error may have several lines
			want = strings.Replace(shown, `\u000a`, "\n", 1)
		}
		if strings.ContainsAny(told, "\x1b\a") || !strings.Contains(told, want) {
			t.Errorf("%s: told %q", x.answer, told)
		}
	}
}
