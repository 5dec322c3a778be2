package e2e

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// edgeDir is the folder of the snippets for CDNs.
const edgeDir = "../deploy/cdn/"

// edges are the caches whose snippets use regular expressions. Each function starts one in front of a backend, with the
// shipped configuration except for addresses, and returns its URL.
var edges = map[string]func(t *testing.T, backend string) string{"nginx": startNginx, "varnish": startVarnish}

// snippet is a shipped configuration with replaced addresses.
func snippet(t *testing.T, name string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(edgeDir + name)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(string(text), replace[i]) {
			t.Fatalf("%s does not hold %q", name, replace[i])
		}
	}
	return strings.NewReplacer(replace...).Replace(string(text))
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func startNginx(t *testing.T, backend string) string {
	t.Helper()
	program := installed(t, "nginx")
	dir, addr := t.TempDir(), freePort(t)
	conf := filepath.Join(dir, "nginx.conf")
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n"
	}
	write(t, conf, user+"daemon off; worker_processes 1; pid "+dir+"/pid; error_log stderr;\nevents {}\nhttp {\naccess_log off;\n"+
		"client_body_temp_path "+dir+"/body; proxy_temp_path "+dir+"/proxy; fastcgi_temp_path "+dir+"/f; uwsgi_temp_path "+dir+"/u; scgi_temp_path "+dir+"/s;\n"+
		snippet(t, "nginx.conf", "127.0.0.1:8080", backend, "127.0.0.1:8088", addr, "/var/cache/nginx", dir+"/cache")+"}\n")
	runCommented(t, conf)
	if out, err := exec.Command(program, "-t", "-c", conf, "-p", dir).CombinedOutput(); err != nil {
		t.Fatalf("nginx -t: %v\n%s", err, out)
	}
	runEdge(t, addr, program, "-c", conf, "-p", dir)
	return "http://" + addr
}

// runCommented runs the commands in a configuration's comments: the lines indented after the "#".
func runCommented(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`(?m)^#   (.+)$`).FindAllStringSubmatch(string(text), -1)
	if len(commands) == 0 {
		t.Errorf("%s names no command", file)
	}
	for _, m := range commands {
		if out, err := exec.Command("sh", "-c", m[1]).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", m[1], err, out)
		}
	}
}

func startVarnish(t *testing.T, backend string) string {
	t.Helper()
	program := installed(t, "varnishd")
	dir, addr := t.TempDir(), freePort(t)
	host, port, _ := strings.Cut(backend, ":")
	vcl := filepath.Join(dir, "default.vcl")
	write(t, vcl, snippet(t, "varnish.vcl", `"127.0.0.1"`, `"`+host+`"`, `"8080"`, `"`+port+`"`))
	runEdge(t, addr, program, "-F", "-j", "none", "-n", filepath.Join(dir, "work"), "-f", vcl, "-a", addr, "-s", "malloc,32m")
	return "http://" + addr
}

// installed is the path of a program that Debian packages.
func installed(t *testing.T, name string) string {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			t.Skip(name + " is not installed (make test installs it)")
		}
	}
	return program
}

// runEdge runs a cache until the test ends, and waits until it responds.
func runEdge(t *testing.T, addr, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", program, &log)
		}
	})
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, err := request("GET", "http://"+addr+"/health"); err == nil {
			return
		}
	}
	t.Fatalf("%s does not answer:\n%s", program, &log)
}

// edgeRows reads a table of the snippets' tests.
func edgeRows(t *testing.T, name string) []map[string]string {
	t.Helper()
	text, err := os.ReadFile(edgeDir + "testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	var rows []map[string]string
	for _, line := range lines[1:] {
		row, values := map[string]string{}, strings.Split(line, "\t")
		for i, column := range strings.Split(lines[0], "\t") {
			row[column] = values[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// The request that a cache forwards is checked at the backend, whose responses must not be cached.
func TestEdgeFolds(t *testing.T) {
	dropped := []string{"Save-Data", "RTT", "Downlink", "Cookie", "Sec-CH-Width", "Width", "Sec-CH-DPR", "DPR"}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		for _, name := range append([]string{"Accept", "ECT"}, dropped...) {
			w.Header().Set("Saw-"+name, strings.Join(r.Header.Values(name), "; "))
		}
		w.Header().Set("Saw-Target", r.RequestURI)
	}))
	t.Cleanup(backend.Close)
	const source = "/aHR0cHM6Ly9leGFtcGxlLmNvbS9jYXQuanBn"
	for name, front := range edges {
		t.Run(name, func(t *testing.T) {
			url := front(t, strings.TrimPrefix(backend.URL, "http://"))
			get := func(path string, headers ...string) http.Header {
				t.Helper()
				a, err := request("GET", url+path, append(headers, "Cookie", "a=b",
					"Sec-CH-Width", "400", "Width", "400", "Sec-CH-DPR", "2", "DPR", "2")...)
				if err != nil || a.StatusCode != 200 {
					t.Fatalf("%s: %v %v", path, a.Response, err)
				}
				for _, gone := range dropped {
					if v := a.Header.Get("Saw-" + gone); v != "" {
						t.Errorf("%s: %s: %s reached the proxy", path, gone, v)
					}
				}
				return a.Header
			}
			for _, row := range edgeRows(t, "accept.tsv") {
				if row["coarse"] == "" {
					continue
				}
				if got := get("/S/w:5"+source, "Accept", row["accept"], "ECT", "2g").Get("Saw-Accept"); got != row["coarse"] {
					t.Errorf("Accept %q: got %q, want %q", row["accept"], got, row["coarse"])
				}
			}
			for _, row := range edgeRows(t, "hints.tsv") {
				want := map[string]string{"yes": "3g"}[row["slow"]]
				got := get("/S/w:5/net:auto"+source, "Save-Data", row["save_data"], "ECT", row["ect"], "RTT", row["rtt"], "Downlink", row["downlink"])
				if got.Get("Saw-Ect") != want {
					t.Errorf("%v: ECT is %q, want %q", row, got.Get("Saw-Ect"), want)
				}
			}
			for _, row := range edgeRows(t, "paths.tsv") {
				target, query := row["path"], ""
				if row["query"] != "" {
					query = "?" + row["query"]
				}
				got := get(target+query, "Accept", "image/webp", "Save-Data", "on")
				if open := got.Get("Saw-Accept") != ""; open != (row["coarse_open"] == "yes") {
					t.Errorf("%s: Accept is %q", target, got.Get("Saw-Accept"))
				}
				if hints := got.Get("Saw-Ect") != ""; hints != (row["coarse_hints"] == "yes") {
					t.Errorf("%s: ECT is %q", target, got.Get("Saw-Ect"))
				}
				if row["plain"] == "yes" {
					target += query
				}
				if got.Get("Saw-Target") != target {
					t.Errorf("the proxy was asked for %s, want %s", got.Get("Saw-Target"), target)
				}
			}
		})
	}
}

// pictures is the number of pictures served by the public listener, without health probes.
func (s *server) pictures() float64 {
	s.t.Helper()
	return s.metric("goldcrest_requests_total", `outcome="hit"`) + s.metric("goldcrest_requests_total", `outcome="miss"`)
}

// Equivalent browsers share one entry. No client gets a format that it does not accept. Explicit formats have one entry
// for all.
func TestEdgeKeepsVariantsApart(t *testing.T) {
	corpus(t)
	const (
		chrome  = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
		firefox = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"
	)
	for name, front := range edges {
		t.Run(name, func(t *testing.T) {
			o, s := startOrigin(t), start(t)
			url := front(t, strings.TrimPrefix(s.public, "http://"))
			get := func(path string, more float64, wantType string, headers ...string) answer {
				t.Helper()
				before := s.pictures()
				a, err := request("GET", url+path, headers...)
				if err != nil || a.StatusCode != 200 {
					t.Fatalf("%s: %v %s %v", path, a.Response, a.body, err)
				}
				a.want(t, "Content-Type", wantType)
				if got := s.pictures() - before; got != more {
					t.Errorf("%s %v: the proxy was asked %v times, want %v", path, headers, got, more)
				}
				return a
			}
			open := signed("w:120", o.URL+"/photos/groceries.jpg")
			first := get(open, 1, "image/avif", "Accept", chrome)
			second := get(open+"?utm_source=mail", 0, "image/avif", "Accept", firefox, "Cookie", "session=1", "Save-Data", "on")
			if !bytes.Equal(first.body, second.body) || first.Header.Get("ETag") != second.Header.Get("ETag") {
				t.Error("two browsers of one kind got different bytes")
			}
			tag := first.Header.Get("Surrogate-Key")
			if tag == "" || second.Header.Get("Surrogate-Key") != tag || second.Header.Get("Cache-Tag") != tag {
				t.Errorf("tags: %q, then %q and %q", tag, second.Header.Get("Surrogate-Key"), second.Header.Get("Cache-Tag"))
			}
			get(open, 1, "image/jpeg", "Accept", "image/jpeg")
			get(open, 0, "image/jpeg", "Accept", "image/jpeg")
			get(open, 1, "image/jpeg") // Without Accept it has its own entry.
			get(open, 0, "image/avif", "Accept", chrome)

			fixed := signed("w:120/f:webp", o.URL+"/photos/groceries.jpg")
			get(fixed, 1, "image/webp", "Accept", chrome)
			get(fixed, 0, "image/webp", "Accept", "image/jpeg", "ECT", "2g")

			auto := signed("w:120/net:auto/f:webp", o.URL+"/photos/groceries.jpg")
			fast := get(auto, 1, "image/webp", "RTT", "50")
			slow := get(auto, 1, "image/webp", "RTT", "900", "Downlink", "5")
			get(auto, 0, "image/webp", "Save-Data", "on")
			get(auto, 0, "image/webp", "ECT", "4g")
			if len(slow.body) >= len(fast.body) {
				t.Errorf("a slow client gets %d bytes, a fast one %d", len(slow.body), len(fast.body))
			}
			// Less often where the original was still in use for the variant before.
			if got := o.count("/photos/groceries.jpg"); got > 5 {
				t.Errorf("the origin was asked %d times, want once for each variant at most", got)
			}
		})
	}
}

// Varnish bans by tag what the proxy purges.
func TestEdgeBansByTag(t *testing.T) {
	corpus(t)
	o, s := startOrigin(t), start(t)
	url := startVarnish(t, strings.TrimPrefix(s.public, "http://"))
	path := signed("w:100/f:jpg/ct:campaign-7", o.URL+"/photos/groceries.jpg")
	get := func(want float64) {
		t.Helper()
		if a, err := request("GET", url+path); err != nil || a.StatusCode != 200 {
			t.Fatalf("%v %v", a.Response, err)
		}
		if got := s.pictures(); got != want {
			t.Errorf("the proxy was asked %v times, want %v", got, want)
		}
	}
	ban := func(tag string, want int) {
		t.Helper()
		if a, err := request("BAN", url+"/", "Surrogate-Key", tag); err != nil || a.StatusCode != want {
			t.Errorf("BAN %s: %v %v, want %d", tag, a.Response, err, want)
		}
	}
	get(1)
	get(1)
	ban("campaign", 200) // A prefix of the tag is not the tag.
	get(1)
	ban("campaign-7", 200)
	get(2)
	ban(".*", 400)
	get(2)
}
