package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// repeated reads text n times.
type repeated struct {
	text string
	n    int
	rest string
}

// Read fills p: a read of two bytes would be sent as a separate packet.
func (r *repeated) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if r.rest == "" {
			if r.n == 0 {
				break
			}
			r.n--
			r.rest = r.text
		}
		m := copy(p[n:], r.rest)
		r.rest = r.rest[m:]
		n += m
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// peakMemory is the peak memory of the server process itself, in bytes.
func (s *server) peakMemory() (bytes int64) {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	fmt.Sscanf(rest, "%d", &bytes)
	return bytes << 10
}

// Hostile bodies are refused, or answered unit by unit, within bounded memory, and the server stays up.
func TestPrewarmHostileBodies(t *testing.T) {
	o := startOrigin(t)
	s := start(t, prewarmEnv...)
	const block = 64 << 10
	var bomb bytes.Buffer
	z, _ := gzip.NewWriterLevel(&bomb, gzip.BestCompression)
	io.Copy(z, io.MultiReader(strings.NewReader(`{"a":"`), &repeated{text: strings.Repeat("a", block), n: 1 << 30 / block}))
	z.Close()
	image := o.URL + "/missing/x.jpg"
	for _, tc := range []struct {
		name    string
		body    io.Reader
		headers []string
		codes   []int // allowed; 0 = the connection was closed while the body was being sent
	}{
		{"a string of 1 GB", io.MultiReader(strings.NewReader(`{"a":"`), &repeated{text: strings.Repeat("a", block), n: 1 << 30 / block}), nil, []int{413, 0}},
		{"a gzip bomb of 1 GB", &bomb, []string{"Content-Encoding", "gzip"}, []int{413}},
		{"a million URLs", io.MultiReader(strings.NewReader(`{"urls":["`+image+`"`), &repeated{text: `,"` + image + `"`, n: 1_000_000}, strings.NewReader("]}")), nil, []int{413, 0}},
		{"the same URL 100,000 times", io.MultiReader(strings.NewReader(`{"images":["`+image+`"`), &repeated{text: `,"` + image + `"`, n: 100_000}, strings.NewReader("]}")), nil, []int{200, 202, 400, 413}},
		{"10,000 levels", io.MultiReader(&repeated{text: `{"a":`, n: 10_000}, strings.NewReader("1"), &repeated{text: "}", n: 10_000}), nil, []int{400}},
		{"a million brackets", &repeated{text: "[", n: 1_000_000}, nil, []int{400, 413}},
		{"5 million empty values", io.MultiReader(strings.NewReader(`{"a":[0`), &repeated{text: ",0", n: 5_000_000}, strings.NewReader("]}")), nil, []int{200, 202, 400, 413}},
		{"NaN", strings.NewReader(`{"photo":"` + image + `","n":NaN}`), nil, []int{400}},
		{"a byte order mark", strings.NewReader("\xef\xbb\xbf" + `{"photo":"` + image + `"}`), nil, []int{400}},
		{"invalid UTF-8", strings.NewReader("{\"photo\":\"\xff\xfe\"}"), nil, []int{200, 202, 400}},
		{"trailing data", strings.NewReader(`{"photo":"` + image + `"} {"b":1}`), nil, []int{400}},
		{"duplicate keys", strings.NewReader(`{"photo":"` + image + `","photo":"` + image + `"}`), nil, []int{200, 202}},
		{"a number as URL", strings.NewReader(`{"photo":12345}`), nil, []int{200, 202}},
		{"our own address as source", strings.NewReader(`{"photo":"http://localhost:8080/x/y.jpg"}`), nil, []int{200, 202}},
		{"a selector that explodes", strings.NewReader(`{"a":1}`), []string{"query", "?select=" + strings.Repeat("$..", 50) + "a"}, []int{200, 202, 422}},
		{"nothing", strings.NewReader(""), nil, []int{400}},
	} {
		query, headers := "", tc.headers
		if len(headers) > 0 && headers[0] == "query" {
			query, headers = headers[1], nil
		}
		a, err := s.tryCall("POST", "/v1/prewarm"+query, tc.body, headers...)
		code := 0
		if err == nil {
			code = a.StatusCode
		}
		ok := false
		for _, c := range tc.codes {
			ok = ok || c == code
		}
		if !ok {
			t.Errorf("%s: got %d, %v, want one of %v: %.300s", tc.name, code, err, tc.codes, a.body)
		}
	}
	if a := s.do("GET", s.admin+"/healthz"); a.StatusCode != 200 {
		t.Errorf("afterwards /healthz says %d", a.StatusCode)
	}
	if peak := s.peakMemory(); peak > 512<<20 {
		t.Errorf("the server took %d MiB", peak>>20)
	} else {
		t.Logf("peak memory %d MiB", peak>>20)
	}
	if strings.Contains(s.log.String(), "panic") {
		t.Errorf("there was a panic:\n%s", s.log)
	}
}

// A bad token is refused at once, whatever follows it.
func TestPrewarmBadToken(t *testing.T) {
	s := start(t, prewarmEnv...)
	for _, token := range []string{"", "Bearer", "Bearer ", "Bearer x", "Bearer " + backendToken + "x", "Bearer " + backendToken[:len(backendToken)-1], "Basic " + backendToken} {
		a := s.call("POST", "/v1/prewarm", `{}`, "Authorization", token)
		if a.StatusCode != 401 || a.Header.Get("X-Error") != "unauthorized" {
			t.Errorf("%q: got %d", token, a.StatusCode)
		}
	}
	if strings.Contains(s.log.String(), backendToken) {
		t.Error("the token stands in the log")
	}
}

// A queue on a full disk refuses units, which may be sent again later, and viewers are not affected.
func TestFault15QueueDiskFull(t *testing.T) {
	corpus(t)
	o, dir := startOrigin(t), t.TempDir()
	queue := filepath.Join(dir, "queue")
	if err := os.Mkdir(queue, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", queue, "tmpfs", 0, "size=48m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(queue, syscall.MNT_DETACH) })
	s := startIn(t, dir, prewarmEnv...)
	body := `{"photo":"` + o.URL + `/photos/product-saw.jpg"}`
	before := s.prewarm("", body)
	s.ended(before.Job)

	ballast := filepath.Join(queue, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 64<<10))
	}
	f.Close()
	full := s.call("POST", "/v1/prewarm", `{"photo":"`+o.URL+`/photos/cardinal.jpg"}`)
	if full.StatusCode != 507 || full.Header.Get("X-Error") != "disk_full" || full.Header.Get("Retry-After") == "" {
		t.Errorf("on a full disk: got %d %s", full.StatusCode, full.body)
	}
	if a := s.get(signed("rs:fit:200:0/f:jpg", o.URL+"/photos/cardinal.jpg")); a.StatusCode != 200 {
		t.Errorf("a viewer got %d", a.StatusCode)
	}
	if a := s.call("GET", "/v1/jobs/"+before.Job, ""); a.StatusCode != 200 {
		t.Errorf("the job from before: got %d", a.StatusCode)
	}
	s.stop()
	s = startIn(t, dir, prewarmEnv...) // After a restart on the full disk, viewers are still served.
	if full := s.call("POST", "/v1/prewarm", `{"photo":"`+o.URL+`/photos/cardinal.jpg"}`); full.StatusCode != 507 {
		t.Errorf("on a full disk after a restart: got %d %s", full.StatusCode, full.body)
	}
	if a := s.get(signed("rs:fit:201:0/f:jpg", o.URL+"/photos/cardinal.jpg")); a.StatusCode != 200 {
		t.Errorf("a viewer got %d after a restart", a.StatusCode)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	var after accepted
	eventually(t, "units are taken again once there is room", func() bool {
		a := s.call("POST", "/v1/prewarm", body)
		return a.StatusCode == 200 || a.StatusCode == 202
	})
	after = s.prewarm("", `{"photo":"`+o.URL+`/photos/truck-street.jpg"}`)
	if j := s.ended(after.Job); j.State != "done" {
		t.Errorf("after there was room again: %+v", j)
	}
}
