package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// startTrap listens on every address of this machine and counts connections, so that it sees every address that is not
// blocked.
func startTrap(t *testing.T) (port string, trapped *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	trapped = &atomic.Int64{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			trapped.Add(1)
			c.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, trapped
}

// inward are the corpus' spellings of forbidden addresses, with the trap's port.
func inward(t *testing.T, port string) (sources []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(corpus(t), "vectors", "ssrf.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Split(line, "\t")
		if len(f) < 3 || f[2] != "refuse" || strings.Contains(f[1], "{{PUBLIC}}") { // These two are the redirects below.
			continue
		}
		source := f[1]
		if rest, ok := strings.CutPrefix(source, "http://"); ok && !strings.HasPrefix(rest, "/") {
			host, path, _ := strings.Cut(rest, "/")
			source = "http://" + host + ":" + port + "/" + path
		}
		sources = append(sources, source)
	}
	if len(sources) < 20 {
		t.Fatalf("only %d spellings", len(sources))
	}
	return sources
}

// unasked are the faults that are detected before a connection is made. They prove that nothing connected to an address
// outside this machine, where the trap would not see it.
var unasked = []string{"address_blocked", "bad_option", "bad_source", "dns_failed", "source_not_allowed"}

// startPublic is an origin at an address that the servers under test may reach: a picture at /ok.jpg, and at /to/N a
// redirect to the N-th target.
func startPublic(t *testing.T, targets []string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skipf("127.0.0.2 is not an address of this machine: %v", err)
	}
	ok := photo(t, "groceries.jpg")
	h := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/to/")); {
		case r.URL.Path == "/ok.jpg":
			w.Write(ok)
		case r.URL.Path == "/moved.jpg":
			http.Redirect(w, r, "/ok.jpg", http.StatusFound)
		case r.URL.Path == "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case err == nil && n < len(targets):
			w.Header().Set("Location", targets[n])
			w.WriteHeader(http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	})}
	go h.Serve(l)
	t.Cleanup(func() { h.Close() })
	return "http://" + l.Addr().String()
}

// No spelling of an internal address is reached, by any door that accepts a URL, with any resolver.
func TestFault10NoDoorLeadsInside(t *testing.T) {
	b := startS3(t)
	port, trapped := startTrap(t)
	sources := inward(t, port)
	base := startPublic(t, sources)
	secret := callbackSecret(t)
	for _, resolver := range []string{"go", "cgo"} {
		t.Run(resolver, func(t *testing.T) {
			s := start(t, append(b.compatEnv(t), "GODEBUG=netdns="+resolver, `GOLDCREST_PRESETS={small: "rs:fit:160:0/f:jpg"}`, "GOLDCREST_PREWARM_PRESETS=[small]",
				"GOLDCREST_ORIGIN_ALLOW_PRIVATE=[127.0.0.2/32]", "GOLDCREST_PREWARM_RETRY=[10ms]",
				"GOLDCREST_API_TOKENS=[{name: all, token: "+backendToken+", scopes: [prewarm, check, explain, compat]}]",
				`GOLDCREST_PREWARM_CALLBACKS_ALLOW=["http://*:`+port+`"]`, "GOLDCREST_PREWARM_CALLBACKS_SECRETS=[{secret_file: "+secret+"}]")...)
			defer func() {
				if n := trapped.Swap(0); n != 0 {
					t.Errorf("%d connections to the trap", n)
				}
			}()
			fallback := func(source string) string {
				return signed("w:100/fiu:"+base64.RawURLEncoding.EncodeToString([]byte(source)), base+"/missing.jpg")
			}
			for what, path := range map[string]string{ // The doors work for external addresses.
				"GET": signed("w:100/f:jpg", base+"/ok.jpg"), "redirect": signed("w:100/f:jpg", base+"/moved.jpg"), "fallback": fallback(base + "/ok.jpg"),
			} {
				if a := s.get(path); !strings.HasPrefix(a.Header.Get("Content-Type"), "image/") {
					t.Fatalf("%s of a picture outside: got %d %s", what, a.StatusCode, a.body)
				}
			}
			no := func(what string, a answer, or ...string) {
				t.Helper()
				if got := a.Header.Get("X-Error"); a.StatusCode < 400 || !slices.Contains(append(or, unasked...), got) {
					t.Errorf("%s: got %d %s, want a refusal before anybody connects", what, a.StatusCode, got)
				}
			}
			for i, source := range sources {
				no("GET "+source, s.get(signed("w:100/f:jpg", source)))
				no("GET plain "+source, s.get(sign("/w:100/f:jpg/plain/"+url.QueryEscape(source))))
				no("fallback "+source, s.get(fallback(source)), "source_not_found")
				no("redirect to "+source, s.get(signed("w:100/f:jpg", fmt.Sprintf("%s/to/%d", base, i))))
				s.call("GET", "/v1/explain"+signed("w:100/f:jpg", source)+"?run=1", "")
			}
			no("endless redirects", s.get(signed("w:100/f:jpg", base+"/loop")), "too_many_redirects")
			s.prewarmInward(b, resolver, sources)
			for _, source := range sources {
				s.callBack(base+"/ok.jpg", source)
			}
		})
	}
}

// prewarmInward passes forbidden sources to everything that makes pictures ahead of time.
func (s *server) prewarmInward(b *s3, resolver string, sources []string) {
	s.t.Helper()
	list, err := json.Marshal(map[string]any{"urls": sources})
	if err != nil {
		s.t.Fatal(err)
	}
	s.call("POST", "/v1/check", string(list))
	var units strings.Builder
	legacy := map[string]string{}
	for i, source := range sources {
		line, err := json.Marshal(map[string]any{"id": fmt.Sprint("u", i), "photo": source})
		if err != nil {
			s.t.Fatal(err)
		}
		units.Write(append(line, '\n'))
		legacy[fmt.Sprintf("pics/%s-%d", resolver, i)] = source
	}
	a := s.prewarm("", units.String(), "Content-Type", "application/x-ndjson")
	s.ended(a.Job)
	verdicts := s.verdicts(a.Job)
	if len(verdicts) < len(sources)/2 { // A value that is not the URL of a picture is not taken for one.
		s.t.Errorf("prewarm: %d verdicts of %d sources", len(verdicts), len(sources))
	}
	for _, v := range verdicts {
		if v.State != "broken" || !slices.Contains(unasked, v.Reason) {
			s.t.Errorf("prewarm of %s: %s %s, want broken for its address", v.Source, v.State, v.Reason)
		}
	}
	s.postLambda(legacy)
	for key := range legacy {
		eventually(s.t, "the broken mark of "+key, func() bool { _, broken := b.ends(key); return broken })
	}
}

// callBack posts a picture with a callback to a forbidden address, and waits until the callback is given up or the call
// is refused.
func (s *server) callBack(picture, target string) {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"urls": []string{picture}, "callback": map[string]any{"url": target, "events": []string{"job.done"}}})
	if err != nil {
		s.t.Fatal(err)
	}
	before, again := s.metric("goldcrest_prewarm_callbacks_total"), s.metric("goldcrest_prewarm_callbacks_total", `outcome="again"`)
	a := s.call("POST", "/v1/prewarm", string(body))
	if a.StatusCode >= 400 && a.StatusCode < 500 {
		return
	}
	if a.StatusCode >= 500 {
		s.t.Fatalf("callback to %s: got %d %s", target, a.StatusCode, a.body)
	}
	eventually(s.t, "the callback to "+target, func() bool { return s.metric("goldcrest_prewarm_callbacks_total") > before })
	if ok := s.metric("goldcrest_prewarm_callbacks_total", `outcome="ok"`); ok != 0 {
		s.t.Errorf("callback to %s: %v were taken", target, ok)
	}
	u, err := url.Parse(target)
	if err != nil || net.ParseIP(u.Hostname()) == nil {
		return // A name that cannot be resolved is retried.
	}
	if now := s.metric("goldcrest_prewarm_callbacks_total", `outcome="again"`); now != again {
		s.t.Errorf("callback to %s: tried again, as if it had been asked", target)
	}
}
