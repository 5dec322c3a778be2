package e2e

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// origin is a scripted origin that counts requests. Its paths are those of the corpus' README (/photos/F, /hostile/F,
// /alias/X/F, /redir/photos/F, /slow/MS/photos/F, /missing/X, /gone/X, /err/CODE/X, /pages/X, /docs/X, /video/X), and
// those that a test adds with on.
type origin struct {
	*httptest.Server
	mu      sync.Mutex
	hits    map[string]int
	scripts map[string]http.HandlerFunc
}

// corpus is the folder of test material; tests that need it are skipped if it is missing.
func corpus(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("GOLDCREST_CORPUS")
	if dir == "" {
		dir = "../../shared/corpus"
	}
	if _, err := os.Stat(filepath.Join(dir, "photos")); err != nil {
		t.Skipf("the corpus is not at %s (set GOLDCREST_CORPUS)", dir)
	}
	return dir
}

func startOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{hits: map[string]int{}, scripts: map[string]http.HandlerFunc{}}
	o.Server = httptest.NewServer(http.HandlerFunc(o.serve))
	t.Cleanup(o.Close)
	return o
}

// on sets the response for one path.
func (o *origin) on(path string, h http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.scripts[path] = h
}

// total is the number of all requests.
func (o *origin) total() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, hits := range o.hits {
		n += hits
	}
	return n
}

// paths is the number of requests by path.
func (o *origin) paths() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.hits)
}

// count is the number of requests for a path.
func (o *origin) count(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.hits[path]
}

func (o *origin) serve(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.hits[r.URL.Path]++
	script := o.scripts[r.URL.Path]
	o.mu.Unlock()
	if script != nil {
		script(w, r)
		return
	}
	o.corpusFile(w, r, r.URL.Path)
}

// corpusFile serves the paths of the corpus' README.
func (o *origin) corpusFile(w http.ResponseWriter, r *http.Request, path string) {
	part := strings.Split(strings.TrimPrefix(path, "/"), "/")
	switch part[0] {
	case "photos", "hostile":
		dir := os.Getenv("GOLDCREST_CORPUS")
		if dir == "" {
			dir = "../../shared/corpus"
		}
		body, err := os.ReadFile(filepath.Join(dir, part[0], filepath.Base(path)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", contentType(path))
		w.Write(body)
	case "alias":
		o.corpusFile(w, r, "/photos/"+filepath.Base(path))
	case "pages", "docs", "video":
		w.Header().Set("Content-Type", map[string]string{"pages": "text/html", "docs": "application/pdf", "video": "video/mp4"}[part[0]])
		w.Write([]byte(map[string]string{"pages": "<!doctype html><p>page", "docs": "%PDF-1.4\n", "video": "\x00\x00\x00\x18ftypmp42"}[part[0]]))
	case "redir":
		http.Redirect(w, r, "/"+strings.Join(part[1:], "/"), http.StatusFound)
	case "slow":
		ms, _ := strconv.Atoi(part[1])
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
		case <-r.Context().Done():
			return
		}
		o.corpusFile(w, r, "/"+strings.Join(part[2:], "/"))
	case "gone":
		w.WriteHeader(http.StatusGone)
	case "err":
		code, _ := strconv.Atoi(part[1])
		w.WriteHeader(code)
	default:
		http.NotFound(w, r)
	}
}

func contentType(path string) string {
	switch filepath.Ext(path) {
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".tif":
		return "image/tiff"
	case ".svg":
		return "image/svg+xml"
	default:
		return "image/" + strings.TrimPrefix(filepath.Ext(path), ".")
	}
}

// rawOrigin is a TCP server that runs a script on each connection, for responses that no HTTP server would send.
type rawOrigin struct {
	url   string
	mu    sync.Mutex
	conns int
}

func startRaw(t *testing.T, script func(c net.Conn, request string)) *rawOrigin {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &rawOrigin{url: fmt.Sprintf("http://%s", l.Addr())}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 4096)
				n, err := c.Read(buf)
				if err != nil {
					return
				}
				o.mu.Lock()
				o.conns++
				o.mu.Unlock()
				script(c, string(buf[:n]))
			}()
		}
	}()
	return o
}

func (o *rawOrigin) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.conns
}
