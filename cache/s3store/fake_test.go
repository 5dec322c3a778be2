package s3store

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeS3 answers what the store asks of S3, path style, in one bucket of any name. A test spoils it through before,
// which reports that it has answered.
type fakeS3 struct {
	before func(w http.ResponseWriter, r *http.Request) bool

	mu      sync.Mutex
	objects map[string]object
	calls   []string // "GET", "LIST", "DELETE MANY" ...
}

type object struct {
	header http.Header
	body   []byte
}

func newFake(t *testing.T) (*fakeS3, Config) {
	t.Helper()
	f := &fakeS3{objects: map[string]object{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return f, Config{Bucket: "bucket", Endpoint: server.URL, PathStyle: true, Checksums: whenRequired}
}

// isolate keeps the machine's own AWS settings and accounts out of a test.
func isolate(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "goldcresttest", "AWS_SECRET_ACCESS_KEY": "goldcrest-test-secret", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": "",
	} {
		t.Setenv(name, value)
	}
}

func openStore(t *testing.T, cfg Config) (*Store, *counter) {
	t.Helper()
	isolate(t)
	obs := &counter{n: map[string]int{}}
	s, err := Open(t.Context(), cfg, obs)
	if err != nil {
		t.Fatal(err)
	}
	return s, obs
}

func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := r.Method
	switch {
	case r.URL.Query().Has("delete"):
		call = "DELETE MANY"
	case r.URL.Query().Get("list-type") == "2":
		call = "LIST"
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
	if f.before != nil && f.before(w, r) {
		return
	}
	key := strings.TrimPrefix(r.URL.Path, "/bucket/")
	switch call {
	case "PUT":
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		f.objects[key] = object{r.Header.Clone(), body}
	case "GET", "HEAD":
		f.read(w, r, key)
	case "DELETE":
		delete(f.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case "LIST":
		f.list(w, r)
	case "DELETE MANY":
		f.deleteMany(w, r)
	}
}

func (f *fakeS3) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *fakeS3) read(w http.ResponseWriter, r *http.Request, key string) {
	o, ok := f.objects[key]
	if !ok {
		refuse(w, r, http.StatusNotFound, "NoSuchKey")
		return
	}
	for name, values := range o.header {
		if strings.HasPrefix(name, "X-Amz-Meta-") || name == "Content-Type" || name == "Cache-Control" {
			w.Header()[name] = values
		}
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(o.body)))
}

// list gives pages of two, to have several.
func (f *fakeS3) list(w http.ResponseWriter, r *http.Request) {
	var keys []string
	q := r.URL.Query()
	for key := range f.objects {
		if strings.HasPrefix(key, q.Get("prefix")) && key > q.Get("continuation-token") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	type contents struct{ Key string }
	page := struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		Contents              []contents
	}{IsTruncated: len(keys) > 2}
	if page.IsTruncated {
		keys = keys[:2]
		page.NextContinuationToken = keys[1]
	}
	for _, key := range keys {
		page.Contents = append(page.Contents, contents{key})
	}
	_ = xml.NewEncoder(w).Encode(page)
}

func (f *fakeS3) deleteMany(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Object []struct{ Key string }
	}
	if err := xml.NewDecoder(r.Body).Decode(&in); err != nil {
		refuse(w, r, http.StatusBadRequest, "MalformedXML")
		return
	}
	type failure struct{ Key, Code, Message string }
	var out struct {
		XMLName xml.Name  `xml:"DeleteResult"`
		Errors  []failure `xml:"Error"`
	}
	for _, o := range in.Object {
		if strings.Contains(o.Key, "locked") {
			out.Errors = append(out.Errors, failure{o.Key, "AccessDenied", "it is locked"})
		} else {
			delete(f.objects, o.Key)
		}
	}
	_ = xml.NewEncoder(w).Encode(out)
}

// refuse answers an error as S3 does: with its code in a body, but for HEAD.
func refuse(w http.ResponseWriter, r *http.Request, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>a test says so</Message></Error>")
	}
}

// counter counts observations as "op outcome".
type counter struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counter) Observe(_, op, outcome string, _ time.Duration, _ int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[op+" "+outcome]++
}

func (c *counter) expect(t *testing.T, what string, want int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n[what] != want {
		t.Errorf("%q was observed %d times, want %d; all: %v", what, c.n[what], want, c.n)
	}
}
