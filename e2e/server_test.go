package e2e

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The signing pair of every server under test.
var (
	key  = []byte("0123456789abcdef0123456789abcdef")
	salt = []byte("fedcba9876543210fedcba9876543210")
)

// baseConfig configures a server that may fetch from this machine. %[1]s is the data folder.
const baseConfig = `
server: {listen: "127.0.0.1:0", admin: "127.0.0.1:0", deadline: 20s, drain: 10s}
signing: {keys: [{key: %[2]s, salt: %[3]s}]}
origin: {allow_private: ["127.0.0.0/8"], timeout: 10s}
transform: {workers: 2}
cache: {memory: 64MiB, store: {dir: %[1]s/store, min_free: 1MiB}}
prewarm: {queue: {dir: %[1]s/queue}}
presets: {std: "rs:fit:800:0"}
`

// server is one running process.
type server struct {
	t      *testing.T
	dir    string
	cmd    *exec.Cmd
	public string // http://127.0.0.1:port
	admin  string
	done   chan struct{}
	log    *logBuffer

	serving   chan [2]string // the addresses of its "serving" line
	queueOpen bool           // the queue has been seen open
}

// logBuffer keeps the output of the process.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) line(s string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.WriteString(s + "\n")
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// configText is baseConfig followed by more YAML; dir is the data folder.
func configText(dir, more string) string {
	return fmt.Sprintf(baseConfig, dir, hex.EncodeToString(key), hex.EncodeToString(salt)) + more
}

// start starts a server on an empty data folder. env are GOLDCREST_ settings on top of the base configuration.
func start(t *testing.T, env ...string) *server {
	t.Helper()
	return startIn(t, t.TempDir(), env...)
}

// startIn starts a server on a given data folder, so that a test can start another one on the same store.
func startIn(t *testing.T, dir string, env ...string) *server {
	t.Helper()
	return startCommand(t, dir, []string{binary}, env...)
}

// startCommand is startIn through another program, which runs the one under test.
func startCommand(t *testing.T, dir string, command []string, env ...string) *server {
	t.Helper()
	file := filepath.Join(dir, "config.yaml")
	if _, err := os.Stat(file); err != nil {
		if err := os.WriteFile(file, []byte(configText(dir, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := launch(t, dir, append(command, "serve", "-config", file), env...)
	s.await()
	return s
}

// launch starts a process and does not wait until it serves.
func launch(t *testing.T, dir string, command []string, env ...string) *server {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), env...)
	return launchCmd(t, dir, cmd)
}

// launchCmd is launch for a command that needs more than an environment.
func launchCmd(t *testing.T, dir string, cmd *exec.Cmd) *server {
	t.Helper()
	s := &server{t: t, dir: dir, cmd: cmd, log: &logBuffer{}, done: make(chan struct{}), serving: make(chan [2]string, 1)}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go s.follow(stderr)
	t.Cleanup(s.stop)
	return s
}

// await waits until the server serves.
func (s *server) await() {
	s.t.Helper()
	select {
	case at := <-s.serving:
		s.public, s.admin = "http://"+at[0], "http://"+at[1]
	case <-s.done:
		s.t.Fatalf("the server did not start:\n%s", s.log)
	case <-time.After(time.Minute): // Workers have a low priority, and the first one must be ready.
		s.t.Fatalf("the server was not ready in a minute:\n%s", s.log)
	}
}

// exits waits until the process has ended by itself and returns its exit code; -1 = a signal ended it.
func (s *server) exits(within time.Duration) int {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(within):
		s.t.Fatalf("the process did not end in %v:\n%s", within, s.log)
	}
	return s.cmd.ProcessState.ExitCode()
}

// follow reads the log until the process ends and reports the addresses of its "serving" line.
func (s *server) follow(stderr io.Reader) {
	sc := bufio.NewScanner(stderr)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		s.log.line(sc.Text())
		var line struct{ Msg, Public, Admin string }
		if json.Unmarshal(sc.Bytes(), &line) == nil && line.Msg == "serving" {
			s.serving <- [2]string{line.Public, line.Admin}
		}
	}
	s.cmd.Wait()
	close(s.done)
}

// stop ends the process like a service manager and fails the test if it does not end.
func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		s.cmd.Process.Kill()
		s.t.Errorf("the server did not stop in 20 s:\n%s", s.log)
	}
}

// kill ends the process like a crash.
func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.done
}

// sign returns "/signature" + path by the documented formula, so that the test does not depend on the program's own
// signer.
func sign(path string) string { return signWith(key, path) }

func signWith(key []byte, path string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(salt)
	mac.Write([]byte(path))
	return "/" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) + path
}

// signed is the signed URL path of a source with options ("rs:fit:800:0/f:webp").
func signed(options, source string) string {
	path := "/" + base64.RawURLEncoding.EncodeToString([]byte(source))
	if options != "" {
		path = "/" + options + path
	}
	return sign(path)
}

// answer is a response with its body.
type answer struct {
	*http.Response
	body []byte
}

// get requests a path on the public listener. headers are name, value pairs.
func (s *server) get(path string, headers ...string) answer {
	s.t.Helper()
	return s.do("GET", s.public+path, headers...)
}

func (s *server) do(method, url string, headers ...string) answer {
	s.t.Helper()
	a, err := request(method, url, headers...)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", method, url, err, s.log)
	}
	return a
}

// client follows no redirects and does not request compression.
var client = &http.Client{
	Timeout:   40 * time.Second,
	Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
	CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	},
}

func request(method, url string, headers ...string) (answer, error) {
	return send(method, url, nil, headers...)
}

// send is request with a body.
func send(method, url string, body io.Reader, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res, text}, err
}

// metric reads one metric of the private listener's /metrics: the sum over all label sets whose text contains each of
// with.
func (s *server) metric(name string, with ...string) float64 {
	s.t.Helper()
	a := s.do("GET", s.admin+"/metrics")
	sum := 0.0
lines:
	for line := range strings.Lines(string(a.body)) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), name)
		if !ok || rest == "" || (rest[0] != '{' && rest[0] != ' ') {
			continue
		}
		for _, w := range with {
			if !strings.Contains(rest, w) {
				continue lines
			}
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			s.t.Fatalf("metric line %q: %v", line, err)
		}
		sum += v
	}
	return sum
}

// eventually waits until ok is true, for work that ends after a response.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	within(t, 10*time.Second, what, ok)
}

// within waits until ok is true, for at most d.
func within(t *testing.T, d time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(d); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %v: %s", d, what)
}

// want fails unless a header has a value.
func (a answer) want(t *testing.T, header, value string) {
	t.Helper()
	if got := a.Header.Get(header); got != value {
		t.Errorf("%s: got %q, want %q", header, got, value)
	}
}

// hangUp requests a path and closes the connection without waiting for the response.
func hangUp(public, path string) {
	c, err := net.Dial("tcp", strings.TrimPrefix(public, "http://"))
	if err != nil {
		return
	}
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path)
	time.Sleep(100 * time.Millisecond)
	c.Close()
}
