package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// secretFile makes a file for a test and returns its path.
func secretFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// strangers is versitygw's file of accounts, with one account that may not read any bucket.
const strangers = `{"accessAccounts": {"stranger": {
	"access": "stranger", "secret": "stranger-secret", "role": "user", "userID": 0, "groupID": 0, "projectID": 0}}}`

// sourcesEnv configures buckets at an endpoint, a directory of files, and a key that is bound to a bucket.
func sourcesEnv(t *testing.T, dir, endpoint string) []string {
	t.Helper()
	own, other := secretFile(t, dir, "own", "test-access\ntest-secret-key\n"), secretFile(t, dir, "other",
		"stranger\nstranger-secret\n")
	wrong := secretFile(t, dir, "wrong", "test-access\nplanted-wrong-secret\n")
	entry := func(name, file string) string {
		return fmt.Sprintf("{names: [%s], endpoint: %q, path_style: true, credentials_file: %s}", name,
			endpoint, file)
	}
	return []string{
		"GOLDCREST_ORIGIN_S3=[" + entry("media", own) + "," + entry("closed", other) + "," + entry("wrong", wrong) +
			"]",
		"GOLDCREST_ORIGIN_GS=[" + entry("media", own) + "]",
		"GOLDCREST_ORIGIN_LOCAL=[{dir: " + filepath.Join(dir, "files") + "}]",
		"GOLDCREST_ORIGIN_ALIASES={shop: 's3://media/shoes'}",
		fmt.Sprintf("GOLDCREST_SIGNING_KEYS=[{key: %[1]x, salt: %[2]x}, "+
			"{id: bound, key: %[1]x, salt: %[2]x, sources: ['s3://media']}]", key, salt),
	}
}

// Originals come from buckets of a real S3 server and from directories, by their own addresses and by aliases. A Data
// Unit may contain all of them, a key only reaches what it is bound to, and each kind of fault is distinguished.
func TestSourcesBesideHTTP(t *testing.T) {
	picture, err := os.ReadFile(filepath.Join(corpus(t), "photos", "groceries.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	secretFile(t, dir, "iam/users.json", strangers)
	store := startS3(t, "--iam-dir", filepath.Join(dir, "iam"))
	buckets := filepath.Dir(store.dir)
	secretFile(t, buckets, "media/shoes/a b.jpg", string(picture))
	secretFile(t, buckets, "media/broken.jpg", string(picture[:len(picture)/2]))
	secretFile(t, buckets, "closed/a.jpg", string(picture))
	secretFile(t, dir, "files/sub/a.jpg", string(picture))
	secret := secretFile(t, dir, "outside/secret.jpg", string(picture))
	if err := os.Symlink(secret, filepath.Join(dir, "files", "link.jpg")); err != nil {
		t.Fatal(err)
	}
	env := append(sourcesEnv(t, dir, store.proxy.url), prewarmEnv...)
	s := startIn(t, t.TempDir(), env...)
	for source, want := range map[string]string{
		"s3://media/shoes/a%20b.jpg":     "200",
		"gs://media/shoes/a%20b.jpg":     "200",
		"shop:/a%20b.jpg":                "200",
		"local:///sub/a.jpg":             "200",
		"s3://media/absent.jpg":          "source_not_found",
		"s3://closed/a.jpg":              "source_forbidden",
		"s3://wrong/a.jpg":               "source_error",
		"s3://media/broken.jpg":          "truncated_source",
		"s3://elsewhere/a.jpg":           "source_not_allowed",
		"local:///absent.jpg":            "source_not_found",
		"local:///link.jpg":              "source_forbidden",
		"local:///../outside/secret.jpg": "bad_source",
	} {
		a := s.get(signed("rs:fit:80:0/f:jpg", source))
		if got := outcome(a); got != want {
			t.Errorf("%s: %s, want %s: %.200s", source, got, want, a.body)
		}
	}
	for source, want := range map[string]string{
		"s3://media/shoes/a%20b.jpg": "200", "shop:/a%20b.jpg": "200", "local:///sub/a.jpg": "source_not_allowed",
		"gs://media/shoes/a%20b.jpg": "source_not_allowed",
	} {
		path := strings.TrimPrefix(signed("rs:fit:80:0/f:jpg", source), "/")
		if got := outcome(s.get("/bound." + path)); got != want {
			t.Errorf("%s by a bound key: %s, want %s", source, got, want)
		}
	}
	unitOfSources(t, s, store.proxy)
	s.stop()
	for _, secret := range []string{"test-secret-key", "stranger-secret", "planted-wrong-secret"} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log tells %s", secret)
		}
	}
}

// unitOfSources posts a Data Unit with sources of all kinds.
func unitOfSources(t *testing.T, s *server, proxy *httptestProxy) {
	t.Helper()
	before := proxy.gets.Load()
	// d is a by its alias: one image.
	job := s.prewarm("",
		`{"data_units":[{"id":"1","data":{
		"a":"s3://media/shoes/a%20b.jpg","b":"gs://media/absent.jpg","c":"local:///sub/a.jpg",
		"d":"shop:/a%20b.jpg","image":"s3://closed/a"}}]}`)
	if n := job.Counts["images"]; n != 4 {
		t.Errorf("%d images were found", n)
	}
	s.ended(job.Job)
	states := map[string]string{}
	for _, v := range s.verdicts(job.Job) {
		states[v.Pointer] = v.State + v.Reason
	}
	for pointer, want := range map[string]string{
		"/a": "made", "/b": "brokensource_not_found", "/c": "made", "/image": "brokensource_forbidden",
	} {
		if states[pointer] != want {
			t.Errorf("%s: %q, want %q (%v)", pointer, states[pointer], want, states)
		}
	}
	if n := proxy.gets.Load() - before; n == 0 || n > 6 {
		t.Errorf("%d GETs for three objects", n)
	}
}

// outcome is "200" for a good response, or the code of a fault.
func outcome(a answer) string {
	if a.StatusCode == http.StatusOK {
		return "200"
	}
	_, code, _ := strings.Cut(string(a.body), `"code":"`)
	code, _, _ = strings.Cut(code, `"`)
	return code
}
