package s3source

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// isolate keeps the machine's own AWS settings and accounts out of a test.
func isolate(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": "",
		"AWS_ENDPOINT_URL_STS": "",
		"AWS_CA_BUNDLE":        "",
	} {
		t.Setenv(name, value)
	}
}

// bucketServer answers with what a test scripts and keeps what it was asked.
type bucketServer struct {
	*httptest.Server
	mu    sync.Mutex
	asked []*http.Request
}

func serve(t *testing.T, h http.HandlerFunc) *bucketServer {
	t.Helper()
	s := &bucketServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r)
		s.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *bucketServer) last() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[len(s.asked)-1]
}

func secretFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func open(t *testing.T, list ...Buckets) *Source {
	t.Helper()
	s, err := Open(t.Context(), "origin.s3", list, http.DefaultTransport)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(t *testing.T, s *Source, source string, conditions http.Header) (*http.Response, error) {
	t.Helper()
	u, err := url.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), u, conditions)
	if err == nil {
		t.Cleanup(func() { _ = r.Body.Close() })
	}
	return r, err
}

func s3Error(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>a test says so</Message></Error>")
	}
}

func TestObject(t *testing.T) {
	isolate(t)
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range map[string]string{
			"ETag": `"e"`, "Last-Modified": "Mon, 02 Jan 2006 15:04:05 GMT", "Cache-Control": "max-age=9",
			"Content-Length": "4",
		} {
			w.Header().Set(name, value)
		}
		_, _ = io.WriteString(w, "body")
	})
	s := open(t, Buckets{Names: []string{"media"}, Endpoint: server.URL, PathStyle: true,
		CredentialsFile: secretFile(t, "KEYID\nverysecret\n")})
	for source, want := range map[string]string{
		"s3://media/a.jpg":                       "/media/a.jpg?x-id=GetObject",
		"s3://media/a%20b/%C3%A9%3F+.jpg":        "/media/a%20b/%C3%A9%3F%2B.jpg?x-id=GetObject",
		"s3://media//double/../dots.jpg":         "/media//double/../dots.jpg?x-id=GetObject",
		"s3://media/a.jpg?versionId=v.1":         "/media/a.jpg?versionId=v.1&x-id=GetObject",
		"s3://media/a.jpg?v%2F1":                 "/media/a.jpg?versionId=v%2F1&x-id=GetObject",
		"s3://media/a.jpg?X-Amz-Signature=a&b=c": "/media/a.jpg?x-id=GetObject",
	} {
		r, err := get(t, s, source, http.Header{})
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		body, _ := io.ReadAll(r.Body)
		if got := server.last().RequestURI; got != want {
			t.Errorf("%s: asked for %s, want %s", source, got, want)
		}
		if r.StatusCode != 200 || string(body) != "body" || r.ContentLength != 4 || r.Header.Get("ETag") != `"e"` ||
			r.Header.Get("Last-Modified") != "Mon, 02 Jan 2006 15:04:05 GMT" ||
			r.Header.Get("Cache-Control") != "max-age=9" {
			t.Errorf("%s: answer %+v", source, r)
		}
	}
	// Google changes Accept-Encoding on the way: it is sent, and no part of the signature.
	signed := server.last().Header.Get("Authorization")
	if !strings.Contains(signed, "Credential=KEYID/") || strings.Contains(signed, "accept-encoding") ||
		!strings.Contains(signed, "x-amz-date") {
		t.Errorf("signed with %q", signed)
	}
	if server.last().Header.Get("Accept-Encoding") != "identity" {
		t.Errorf("Accept-Encoding %q", server.last().Header.Get("Accept-Encoding"))
	}
}

func TestConditions(t *testing.T) {
	isolate(t)
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.WriteHeader(http.StatusNotModified)
	})
	s := open(t, Buckets{Names: []string{"*"}, Endpoint: server.URL, PathStyle: true, CredentialsFile: secretFile(t,
		"a\nb")})
	for _, h := range []http.Header{{"If-None-Match": {`"e"`}},
		{"If-Modified-Since": {"Mon, 02 Jan 2006 15:04:05 GMT"}}} {
		r, err := get(t, s, "s3://b/a.jpg", h)
		if err != nil || r.StatusCode != http.StatusNotModified || r.Header.Get("Cache-Control") != "max-age=60" {
			t.Errorf("answer %+v, %v", r, err)
		}
		for name, value := range h {
			if got := server.last().Header.Get(name); got != value[0] {
				t.Errorf("%s: %q", name, got)
			}
		}
	}
}

// What the bucket says of an object is its answer; what it says of this server's credentials is no fault of the object.
func TestRefusals(t *testing.T) {
	isolate(t)
	var script http.HandlerFunc
	server := serve(t, func(w http.ResponseWriter, r *http.Request) { script(w, r) })
	secret := secretFile(t, "KEYID\nverysecret\ntoken\n")
	s := open(t, Buckets{Names: []string{"b"}, Endpoint: server.URL, PathStyle: true, CredentialsFile: secret})
	for _, tt := range []struct {
		status int
		code   string
		want   string // the answer, or the kind of the fault
	}{
		{403, "AccessDenied", "403 AccessDenied"},
		{404, "NoSuchKey", "404 NoSuchKey"},
		{404, "NoSuchBucket", "404 NoSuchBucket"},
		{404, "NoSuchVersion", "404 NoSuchVersion"},
		{503, "SlowDown", "503 SlowDown"},
		{301, "PermanentRedirect", "301 PermanentRedirect"},
		{403, "odd code; with text", ""},
		{403, "SignatureDoesNotMatch", string(fault.SourceError)},
		{403, "InvalidAccessKeyId", string(fault.SourceError)},
		{400, "ExpiredToken", string(fault.SourceError)},
	} {
		script = s3Error(tt.status, tt.code)
		r, err := get(t, s, "s3://b/a.jpg", http.Header{})
		if err != nil {
			if string(fault.KindOf(err)) != tt.want || strings.Contains(err.Error(), "verysecret") {
				t.Errorf("%s: %v", tt.code, err)
			}
			continue
		}
		if r.Status != tt.want || r.StatusCode != tt.status || r.Header.Get("Retry-After") != "7" {
			t.Errorf("%s: answer %q, %d, %v", tt.code, r.Status, r.StatusCode, r.Header)
		}
	}
	server.Close()
	if _, err := get(t, s, "s3://b/a.jpg", http.Header{}); err == nil || fault.Of(err).Kind != fault.Internal ||
		strings.Contains(err.Error(), "a.jpg") {
		t.Errorf("nobody listens: %v", err) // No fault of ours: the client names it by its cause.
	}
}

// Only what is configured is asked for: the first entry that matches says where a bucket is.
func TestBucketsByName(t *testing.T) {
	isolate(t)
	one, two := serve(t, s3Error(404, "NoSuchKey")), serve(t, s3Error(403, "AccessDenied"))
	secret := secretFile(t, "a\nb")
	s := open(t,
		Buckets{Names: []string{"shop-*", "media"}, Endpoint: one.URL, PathStyle: true, CredentialsFile: secret},
		Buckets{Names: []string{"shop-b", "other"}, Endpoint: two.URL, PathStyle: true, CredentialsFile: secret})
	for source, want := range map[string]int{"s3://shop-b/x": 404, "s3://Media/..x": 404, "s3://other/x": 403} {
		if r, err := get(t, s, source, http.Header{}); err != nil || r.StatusCode != want {
			t.Errorf("%s: %v, %v", source, r, err)
		}
	}
	for source, want := range map[string]fault.Kind{
		"s3://shop/x": fault.SourceNotAllowed, "s3://media2/x": fault.SourceNotAllowed,
		"s3://media/": fault.BadSource, "s3://u@media/x": fault.BadSource, "s3://media/../other/x": fault.BadSource,
		"s3://media/a//%2e%2E%2f./%2e./other/x": fault.BadSource,
	} {
		u, err := url.Parse(source)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Open(t.Context(), u, nil); fault.KindOf(err) != want || fault.KindOf(s.Check(u)) != want {
			t.Errorf("%s: %v", source, err)
		}
	}
}

// The credentials of a profile, of the environment and of an assumed role are those that requests are signed with.
func TestCredentials(t *testing.T) {
	isolate(t)
	bucket := serve(t, s3Error(404, "NoSuchKey"))
	sts := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Form.Get("Action") != "AssumeRole" ||
			r.Form.Get("ExternalId") != "x1" || r.Form.Get("RoleSessionName") != "goldcrest" {
			http.Error(w, "not what is expected", http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w,
			`<AssumeRoleResponse><AssumeRoleResult><Credentials>`+
				`<AccessKeyId>OFROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>`+
				`<SessionToken>rt</SessionToken><Expiration>`+
				time.Now().Add(time.Hour).UTC().Format(time.RFC3339)+
				`</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`)
	})
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", secretFile(t,
		"[media]\naws_access_key_id = OFPROFILE\naws_secret_access_key = s\n"))
	static := secretFile(t, "OFFILE\ns\n")
	for want, b := range map[string]Buckets{
		"OFPROFILE/": {Profile: "media"},
		"OFFILE/":    {CredentialsFile: static},
		"OFROLE/":    {CredentialsFile: static, Role: Role{ARN: "arn:aws:iam::1:role/media", ExternalID: "x1"}},
	} {
		b.Names, b.Endpoint, b.PathStyle = []string{"b"}, bucket.URL, true
		if _, err := get(t, open(t, b), "s3://b/x", http.Header{}); err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if got := bucket.last().Header.Get("Authorization"); !strings.Contains(got, "Credential="+want) {
			t.Errorf("signed with %q, want %s", got, want)
		}
	}
	if !strings.Contains(sts.last().Header.Get("Authorization"), "Credential=OFFILE/") {
		t.Error("the role was not asked for with the credentials of the entry")
	}
	// Without any, the fault is this server's.
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	_, err := get(t, open(t, Buckets{Names: []string{"b"}, Endpoint: bucket.URL, PathStyle: true}), "s3://b/x",
		http.Header{})
	if fault.KindOf(err) != fault.SourceError || !strings.Contains(fault.Of(err).Public, "credentials") {
		t.Errorf("without credentials: %v", err)
	}
}

func TestOpenRefusals(t *testing.T) {
	isolate(t)
	names := []string{"b"}
	for want, b := range map[string]Buckets{
		"names lists no bucket": {},
		"names:":                {Names: []string{"a/b"}},
		"either credentials":    {Names: names, CredentialsFile: "/x", Profile: "y"},
		"role.arn is missing":   {Names: names, Role: Role{ExternalID: "x"}},
		"as an ARN does":        {Names: names, Role: Role{ARN: "x"}},
		"endpoint must be":      {Names: names, Endpoint: "https://user:hidden@x/"},
		"no region":             {Names: names},
		"does not hold":         {Names: names, Region: "r", CredentialsFile: secretFile(t, "hidden")},
		"credentials_file: ":    {Names: names, Region: "r", CredentialsFile: "/absent"},
	} {
		_, err := Open(t.Context(), "origin.s3", []Buckets{b}, http.DefaultTransport)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(),
			"origin.s3: entry 1") || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestWithGoogle(t *testing.T) {
	given := []Buckets{{Names: []string{"a"}}, {Names: []string{"b"}, Endpoint: "https://other.example", Region: "x"}}
	got := WithGoogle(given)
	if got[0].Endpoint != GoogleEndpoint || !got[0].PathStyle || got[0].Region != "auto" ||
		got[1].Endpoint != "https://other.example" || got[1].PathStyle {
		t.Errorf("%+v", got)
	}
	if given[0].Endpoint != "" {
		t.Error("the list itself was changed")
	}
}

// Nobody who reads an answer meets the SDK's own words, which hold URLs.
func TestErrorsHideTheWordsOfTheSDK(t *testing.T) {
	cause := errors.New("broken")
	if got := plain(&url.Error{Op: "Get", URL: "https://b/secret-key", Err: cause}); got != cause {
		t.Error(got)
	}
}
