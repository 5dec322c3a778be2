package origin

import (
	"bufio"
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"image/png"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/goldcrest/goldcrest/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newClient makes a client that may reach this machine, with what change makes of its config.
func newClient(t *testing.T, hooks Hooks, change func(*Config)) *Client {
	t.Helper()
	cfg := Default()
	cfg.AllowPrivate = []string{"127.0.0.0/8"}
	cfg.Timeout = 5 * time.Second
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg, hooks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// get fetches and releases.
func get(t *testing.T, c *Client, source string) (Original, error) {
	t.Helper()
	o, err := c.Fetch(context.Background(), source, Limits{})
	if err == nil {
		o.Release()
	}
	return o, err
}

// wantKind fails the test unless err is of that kind.
func wantKind(t *testing.T, err error, want fault.Kind) {
	t.Helper()
	if got := fault.KindOf(err); got != want {
		t.Errorf("fault = %q (%v), want %q", got, err, want)
	}
}

// serve starts a scripted origin that counts its requests.
func serve(t *testing.T, handler http.HandlerFunc) (base string, hits *atomic.Int64) {
	t.Helper()
	hits = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		handler(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, hits
}

// serveRaw starts a TCP origin: answer gets each connection once its request has been read. done is closed when the
// test ends.
func serveRaw(t *testing.T, answer func(conn *net.TCPConn, done <-chan struct{})) (base string, hits *atomic.Int64) {
	t.Helper()
	hits = new(atomic.Int64)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					hits.Add(1)
					answer(conn.(*net.TCPConn), done)
				}
			})
		}
	})
	t.Cleanup(func() {
		close(done)
		_ = listener.Close()
		running.Wait()
	})
	return "http://" + listener.Addr().String(), hits
}

// send serves the same bytes to everybody.
func send(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }
}

func smallPicture() image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, 64, 48))
	for i := range m.Pix {
		m.Pix[i] = byte(i*i>>3) | 3
	}
	return m
}

func smallJPEG(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, smallPicture(), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func smallPNG(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, smallPicture()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// corpusPath is a path in the test material that lives beside the repository.
func corpusPath(parts ...string) string {
	dir := os.Getenv("GOLDCREST_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "corpus")
	}
	return filepath.Join(append([]string{dir}, parts...)...)
}

// vectors reads a table of the corpus as maps from its column names.
func vectors(t *testing.T, name string) []map[string]string {
	t.Helper()
	text, err := os.ReadFile(corpusPath("vectors", name))
	if err != nil {
		t.Skip("the corpus is absent")
	}
	lines := strings.Split(strings.Trim(string(text), "\n"), "\n")
	names := strings.Split(lines[0], "\t")
	var rows []map[string]string
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, cell := range strings.Split(line, "\t") {
			row[names[i]] = cell
		}
		rows = append(rows, row)
	}
	return rows
}

// clock is a clock that stands until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// notes is an Observer that counts.
type notes struct {
	mu    sync.Mutex
	count map[string]int
}

func newNotes() *notes { return &notes{count: map[string]int{}} }

func (n *notes) Fetched(kind fault.Kind, _ time.Duration, _ int64) { n.Noted("kind:" + string(kind)) }

func (n *notes) Noted(event string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count[event]++
}

func (n *notes) of(event string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.count[event]
}
