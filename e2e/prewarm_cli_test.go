package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// run runs a program against s and returns its exit code and output.
func (s *server) run(name string, args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "GOLDCREST_URL="+s.admin, "GOLDCREST_TOKEN="+backendToken)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// The commands prewarm, check and purge against a running server.
func TestPrewarmCommands(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t, prewarmEnv...)
	file, verdicts := filepath.Join(t.TempDir(), "units.jsonl"), filepath.Join(t.TempDir(), "verdicts.jsonl")
	good, bad := o.URL+"/photos/product-saw.jpg", o.URL+"/missing/1.jpg"
	lines := fmt.Sprintf("{\"id\":\"a\",\"photo\":%q}\n{\"id\":\"b\",\"photo\":%q}\n", good, bad)
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := s.run(binary, "prewarm", "-tag", "spring", "-batch", "1", "-o", verdicts, file)
	if code != 0 || !strings.Contains(out, "made                      1\n") || !strings.Contains(out, "broken                    1\n") || !strings.Contains(errs, "100% 2/2") {
		t.Errorf("prewarm: exit %d\n%s%s", code, out, errs)
	}
	text, _ := os.ReadFile(verdicts)
	if got := strings.Count(string(text), "\n"); got != 2 || !strings.Contains(string(text), "source_not_found") {
		t.Errorf("verdicts: %s", text)
	}
	code, out, _ = s.run(binary, "check", good, bad)
	if code != 1 || !strings.Contains(out, "present    -                    1/1  "+good) || !strings.Contains(out, "broken     source_not_found") {
		t.Errorf("check: exit %d\n%s", code, out)
	}
	code, out, _ = s.run(binary, "purge", "-tag", "spring")
	if code != 0 || !strings.HasPrefix(out, "1 variants purged\n") || !strings.Contains(out, "purge at the CDN: s-") {
		t.Errorf("purge: exit %d\n%s", code, out)
	}
	if code, out, _ = s.run(binary, "check", good); code != 1 || !strings.Contains(out, "unknown") {
		t.Errorf("check after the purge: exit %d\n%s", code, out)
	}
	code, out, errs = s.run(binary, "prewarm", "-token", "a-token-that-is-wrong", file)
	if code != 1 || !strings.Contains(errs, "api.tokens") {
		t.Errorf("a wrong token: exit %d\n%s%s", code, out, errs)
	}
	code, _, errs = s.run(binary, "prewarm", "-server", "http://127.0.0.1:9", file)
	if code != 1 || !strings.Contains(errs, "Is a server running") {
		t.Errorf("no server: exit %d\n%s", code, errs)
	}
}

// The command reports why images are broken and what to do. It answers known ones without a fetch, and with -again it
// fetches them again.
func TestPrewarmCommandTellsReasonsAndLooksAgain(t *testing.T) {
	o := startOrigin(t)
	picture := landscape(300, 200, 1)
	mended := make(chan struct{})
	o.on("/later.jpg", func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-mended:
			w.Write(picture)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	s := start(t, prewarmEnv...)
	file := filepath.Join(t.TempDir(), "units.jsonl")
	source := o.URL + "/later.jpg"
	if err := os.WriteFile(file, fmt.Appendf(nil, "{\"id\":\"a\",\"photo\":%q}\n", source), 0o600); err != nil {
		t.Fatal(err)
	}
	tell := func(fetches int, want []string, args ...string) {
		t.Helper()
		before := o.count("/later.jpg")
		code, out, errs := s.run(binary, append(append([]string{"prewarm"}, args...), file)...)
		if code != 0 {
			t.Errorf("prewarm %q: exit %d\n%s%s", args, code, out, errs)
		}
		for _, w := range want {
			if !strings.Contains(out+errs, w) {
				t.Errorf("prewarm %q: no %q in\n%s%s", args, w, out, errs)
			}
		}
		if got := o.count("/later.jpg") - before; got != fetches {
			t.Errorf("prewarm %q: %d fetches, want %d", args, got, fetches)
		}
	}
	broken := []string{"broken                    1\n", "source_not_found: 1 variants; to do: ask the source's server", source}
	tell(1, broken)
	close(mended)
	tell(0, broken) // It is known.
	tell(1, []string{"made                      1\n", "broken                    0\n"}, "-again")
}

// demo -once ends with its table and prints no address, since nothing listens there any more.
func TestDemoOncePrintsNoDeadLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hills.jpg"), landscape(300, 200, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binary, "demo", "-once", "-dir", dir, "-listen", "127.0.0.1:0").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "hills.jpg") || !strings.Contains(string(out), "In all:") {
		t.Fatalf("%v\n%s", err, out)
	}
	if text := string(out); strings.Contains(text, "://") || strings.Contains(text, "127.0.0.1") || strings.Contains(text, "localhost") {
		t.Errorf("an address is printed:\n%s", text)
	}
}

// hook receives callbacks.
type hook struct {
	*httptest.Server
	got chan callback
}

// callback is one received callback.
type callback struct {
	header http.Header
	body   []byte
}

func startHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{got: make(chan callback, 16)}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.got <- callback{r.Header, body}
	}))
	t.Cleanup(h.Close)
	return h
}

// python is the interpreter; tests of the example are skipped without it.
func python(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 here")
	}
	return path
}

// callbackSecret is a file with a secret for signing callbacks.
func callbackSecret(t *testing.T) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("whsec_bXktb3duLXNlY3JldC1vZi0yNC1ieXRlcyE=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The Python client accepts callbacks of a running server, and refuses others. The client and the example compile.
func TestPythonCallbacks(t *testing.T) {
	corpus(t)
	python := python(t)
	o, h := startOrigin(t), startHook(t)
	secret := callbackSecret(t)
	s := start(t, append(prewarmEnv, "GOLDCREST_PREWARM_CALLBACKS_ALLOW=[\""+h.URL+"\"]", "GOLDCREST_PREWARM_CALLBACKS_SECRETS=[{secret_file: "+secret+"}]")...)
	cache := "PYTHONPYCACHEPREFIX=" + t.TempDir()
	cmd := exec.Command(python, "-m", "compileall", "-q", "../clients/python/goldcrest", "../examples/celery")
	cmd.Env = append(os.Environ(), cache)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}

	a := s.prewarm("", fmt.Sprintf(`{"urls":[%q],"callback":{"url":%q,"events":["job.done"]}}`, o.URL+"/photos/cardinal.jpg", h.URL+"/hook"))
	var c callback
	select {
	case c = <-h.got:
	case <-time.After(30 * time.Second):
		t.Fatalf("no callback came\n%s", s.log)
	}
	if id := c.header.Get("X-Request-Id"); len(id) != 36 || !strings.Contains(string(c.body), `"request_id":"`+id+`"`) || !strings.Contains(s.log.String(), id) {
		t.Errorf("the callback came of request %q, which the body or the log does not know", id)
	}
	if !strings.Contains(string(c.body), a.Job) || !strings.Contains(string(c.body), "job.done") {
		t.Errorf("the callback says %s", c.body)
	}
	const program = `
import json, sys
sys.path.insert(0, sys.argv[1])
from goldcrest import BadSignature, verify_webhook
call = json.load(sys.stdin)
secret = open(sys.argv[2]).read()
body = call["body"].encode()
print(verify_webhook(["an older one", secret], call["headers"], body)["type"])
for body, headers in ((body + b" ", call["headers"]), (body, {}), (body, {**call["headers"], "Webhook-Timestamp": "1"})):
    try:
        verify_webhook(secret, headers, body)
        print("believed")
    except BadSignature as no:
        print(no)
`
	headers := map[string]string{}
	for name := range c.header {
		headers[name] = c.header.Get(name)
	}
	input, err := json.Marshal(map[string]any{"body": string(c.body), "headers": headers})
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(python, "-c", program, "../clients/python", secret)
	cmd.Stdin, cmd.Env = bytes.NewReader(input), append(os.Environ(), cache)
	text, err := cmd.CombinedOutput()
	const no = "the callback is not signed with this secret\n"
	want := "job.done\n" + no + no + no
	if err != nil || string(text) != want {
		t.Errorf("verify: %v\n%s", err, text)
	}
}
