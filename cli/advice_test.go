package cli

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// call runs a command line as the shell would and returns its exit code and output.
func call(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	e := env{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, environ: environ, version: "dev"}
	code = dispatch(context.Background(), e, args)
	return code, out.String(), errs.String()
}

// file writes a file into a new folder.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every message says what happened and why, and what to do next.
func TestMessagesSayWhatToDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	plainFile := file(t, "store", "")
	keys := []string{"GOLDCREST_SIGNING_KEYS=[{key: 736563726574, salt: 68656c6c6f}]", "GOLDCREST_SIGNING_ALLOW_SHORT_KEYS=true", "GOLDCREST_ROLES=[proxy]",
		"GOLDCREST_CACHE_STORE_DIR=" + filepath.Join(t.TempDir(), "store"), "GOLDCREST_SERVER_ADMIN=127.0.0.1:0", "GOLDCREST_TRANSFORM_WORKERS=1"}
	with := func(more ...string) []string { return append(append([]string{}, keys...), more...) }
	nowhere := "http://127.0.0.1:1"
	tests := []struct {
		environ []string
		args    string
		code    int
		what    string // what happened, and why
		next    string // what to do
	}{
		{nil, "frobnicate", 2, `there is no command "frobnicate"`, `"goldcrest help" lists them`},
		{nil, "serve -nope", 2, "there is no flag -nope", `"goldcrest serve -h" tells the flags`},
		{nil, "version -x", 2, "there is no flag -x", "usage: goldcrest version\n"},
		{nil, "serve -config missing.yaml", 1, "the configuration file cannot be read: open missing.yaml", "look whether the name is right"},
		{nil, "serve -config " + file(t, "c.yaml", "server: {listn: x}"), 1, "c.yaml:1: server.listn is not a key", "the nearest one is server.listen"},
		{[]string{"GOLDCREST_SERVRE_LISTEN=x"}, "config", 1, "GOLDCREST_SERVRE_LISTEN is not a key", "the nearest one is GOLDCREST_SERVER_LISTEN"},
		{nil, "serve", 1, "there is no key; without one every URL would be refused", "openssl rand -hex 32"},
		{keys[:1], "serve", 1, "the key has 6 bytes", "it needs 32, or allow_short_keys"},
		{with("GOLDCREST_CACHE_STORE_DIR=" + plainFile), "serve", 1, "the store's directory (cache.store.dir) cannot be used", "cache.store.dir"},
		{with("GOLDCREST_SERVER_LISTEN=" + taken.Addr().String()), "serve", 1, "address already in use", "set server.listen"},
		{with("GOLDCREST_SERVER_LISTEN=192.0.2.1:1"), "serve", 1, "cannot assign requested address", "set server.listen"},
		{nil, "sign http://c.example/a.jpg", 1, "there is no signing key", "openssl rand -hex 32"},
		{keys, "sign", 2, "give at least one source URL", "usage: goldcrest sign"},
		{keys, "sign -options w:-1 http://c.example/a.jpg", 1, `option "w": width must be a whole number`, "docs/urls.md"},
		{keys, "sign -options watermark:1 http://c.example/a.jpg", 1, "transform.watermark is not set", "docs/urls.md"},
		{keys, "sign -options raw:1 http://c.example/a.jpg", 1, `option "raw" is not supported`, "docs/urls.md"},
		{keys, "sign ftp://c.example/a.jpg", 1, "is not an http or https URL", "beginning with http://"},
		{with(`GOLDCREST_PRESETS={lite: "w:9", std: "w:10"}`), "sign -preset nope http://c.example/a.jpg", 2, `there is no preset "nope"`, "lite, std"},
		{keys, "get http://c.example/a.jpg", 2, "-o FILE", "usage: goldcrest get"},
		{keys, "get -o x -options w:1 /w:1/plain/http://c.example/a.jpg", 2, "a path holds its own options", "leave -options out"},
		{keys, "get -o x http://127.0.0.1:1/a.jpg", 1, "the source's address is not public", "origin.allow_private"},
		{with("GOLDCREST_ORIGIN_ALLOW=[d.example]"), "get -o x http://c.example/a.jpg", 1, "source_not_allowed", "origin.allow"},
		{with("GOLDCREST_ORIGIN_ALLOW_PRIVATE=[127.0.0.0/8]"), "get -o x http://127.0.0.1:1/a.jpg", 1, "connect_failed", "curl -v URL"},
		{keys, "explain", 2, "give one signed URL", "usage: goldcrest explain"},
		{keys, "explain garbage", 1, "the path names no source", "a path is /signature/options/source"},
		{keys, "explain /AAAA/w:-1/plain/http://c.example/a.jpg", 1, "the signature is not valid", "docs/urls.md"},
		{nil, "prewarm units.jsonl", 2, "there is no token", "set GOLDCREST_TOKEN or give -token-file"},
		{nil, "prewarm -token 0123456789abcdef missing.jsonl", 1, "open missing.jsonl", "look whether the name is right"},
		{nil, "check -token-file /nonexistent http://c.example/a.jpg", 1, "the token cannot be read", "look whether the name is right"},
		{nil, "check -token 0123456789abcdef -server nonsense http://c.example/a.jpg", 2, `"nonsense" is not the http or https URL`, "private listener"},
		{nil, "purge -token 0123456789abcdef -tag a -server " + nowhere, 1, "connection refused", "Is a server running"},
		{nil, "purge -token 0123456789abcdef", 2, "give exactly one of", "usage: goldcrest purge"},
		{nil, "healthcheck -url " + nowhere, 1, "the server does not answer", "-url names another"},
		{nil, "demo -dir " + t.TempDir(), 1, "there are no pictures in", "give a folder with .jpg"},
		{nil, "demo -dir /nonexistent", 1, "the pictures cannot be read", "look whether the name is right"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			code, _, said := call(t, tt.environ, strings.Fields(tt.args)...)
			if code != tt.code || !strings.Contains(said, tt.what) || !strings.Contains(said, tt.next) {
				t.Errorf("exit %d, want %d, and %q, and %q in\n%s", code, tt.code, tt.what, tt.next, said)
			}
			for _, inside := range []string{"variant.", "origin.", "signing.Verify", "<nil>", "%!"} {
				if strings.Contains(strings.NewReplacer("origin.allow_private", "", "origin.allow", "").Replace(said), inside) {
					t.Errorf("%q tells where in the code it happened:\n%s", inside, said)
				}
			}
		})
	}
}

// Doctor reports each wrong setting in one line that says what to do.
func TestDoctor(t *testing.T) {
	plainFile := file(t, "file", "")
	open := file(t, "token", "0123456789abcdef")
	if err := os.Chmod(open, 0o666); err != nil { // beyond the umask
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name       string
		variables  []string
		line, next string
	}{
		{"all is well", nil, "ok       store ", ""},
		{"signing keys", []string{"GOLDCREST_SIGNING_KEYS=[]"}, "wrong    signing keys   signing.keys: there is no key", "To do: set signing.keys"},
		{"configuration", []string{"GOLDCREST_CACHE_MAX_AGE=-1s"}, "wrong    configuration  ", "To do: correct it"},
		{"unknown key", []string{"GOLDCREST_CACHE_MAXAGE=1s"}, "wrong    configuration  environment: GOLDCREST_CACHE_MAXAGE is not a key", "To do: correct it"},
		{"store", []string{"GOLDCREST_CACHE_STORE_DIR=" + plainFile + "/x"}, "wrong    store ", "To do: name a directory"},
		{"full disk", []string{"GOLDCREST_CACHE_STORE_MIN_FREE=9000000000000000"}, "wrong    store ", "To do: name a directory"},
		{"queue", []string{"GOLDCREST_PREWARM_QUEUE_DIR=" + plainFile + "/x"}, "wrong    queue ", "To do: name a directory"},
		{"cluster", []string{"GOLDCREST_PREWARM_QUEUE_NATS=nats://127.0.0.1:1"}, "wrong    queue ", "To do: compare prewarm.queue.nats"},
		{"bucket", []string{"GOLDCREST_CACHE_STORE_S3_BUCKET=b", "GOLDCREST_CACHE_STORE_S3_ENDPOINT=http://127.0.0.1:1"}, "wrong    bucket ", "To do: compare cache.store.s3"},
		{"secret files", []string{"GOLDCREST_API_TOKENS=[{name: a, token_file: " + open + ", scopes: [check]}]"}, "wrong    secret files ", "To do: chmod go-w"},
		{"a public URL without a port", []string{"GOLDCREST_SERVER_BASE_URL=https://img.example.com"}, "ok       server ", ""},
		{"token file", []string{"GOLDCREST_API_TOKENS=[{name: a, token_file: " + plainFile + ".gone, scopes: [check]}]"}, "wrong    server ", "To do: "},
		{"secret file", []string{"GOLDCREST_PREWARM_CALLBACKS_SECRETS=[{id: a, secret_file: " + plainFile + ".gone}]"}, "wrong    prewarm ", "To do: "},
		{"listener", []string{"GOLDCREST_SERVER_ADMIN=192.0.2.1:8081"}, "wrong    admin ", "To do: this machine does not have that address"},
		{"worker", []string{"GOLDCREST_TRANSFORM_COMMAND=[/bin/false]"}, "wrong    worker ", "To do: run"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			environ := []string{"GOLDCREST_SIGNING_KEYS=[{key: " + strings.Repeat("ab", 32) + "}]", "GOLDCREST_CACHE_STORE_DIR=" + dir + "/store",
				"GOLDCREST_CACHE_STORE_MIN_FREE=1MiB", "GOLDCREST_PREWARM_QUEUE_DIR=" + dir + "/queue", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b"}
			code, out, said := call(t, append(environ, tt.variables...), "doctor")
			found := ""
			for line := range strings.Lines(out) {
				if strings.HasPrefix(line, tt.line) {
					found = line
				}
			}
			want := exitFailed
			if tt.next == "" {
				want = exitOK
			}
			if code != want || found == "" || !strings.Contains(found, tt.next) {
				t.Errorf("exit %d, want %d, and a line %q with %q in\n%s%s", code, want, tt.line, tt.next, out, said)
			}
			if want == exitOK && strings.Contains(out, "wrong") || want == exitFailed && strings.Count(out, "wrong ") != 1 {
				t.Errorf("other lines are wrong:\n%s", out)
			}
		})
	}
}

// serve and doctor give the same advice for a failure that keeps serve from starting.
func TestServeAndDoctorAdviseAlike(t *testing.T) {
	plainFile := file(t, "file", "")
	open := file(t, "token", "0123456789abcdef")
	if err := os.Chmod(open, 0o666); err != nil { // beyond the umask
		t.Fatal(err)
	}
	for name, variable := range map[string]string{
		"signing keys":      "GOLDCREST_SIGNING_KEYS=[]",
		"a value":           "GOLDCREST_CACHE_MAX_AGE=-1s",
		"a value of a part": "GOLDCREST_TRANSFORM_WORKERS=-1",
		"unknown key":       "GOLDCREST_CACHE_MAXAGE=1s",
		"no such file":      "GOLDCREST_CONFIG=" + plainFile + ".gone",
		"store":             "GOLDCREST_CACHE_STORE_DIR=" + plainFile + "/x",
		"secret files":      "GOLDCREST_API_TOKENS=[{name: a, token_file: " + open + ", scopes: [check]}]",
		"token file":        "GOLDCREST_API_TOKENS=[{name: a, token_file: " + plainFile + ".gone, scopes: [check]}]",
		"secret file":       "GOLDCREST_PREWARM_CALLBACKS_SECRETS=[{id: a, secret_file: " + plainFile + ".gone}]",
		"listener":          "GOLDCREST_SERVER_ADMIN=192.0.2.1:8081",
		"worker":            "GOLDCREST_TRANSFORM_COMMAND=[/bin/false]",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			environ := []string{"GOLDCREST_SIGNING_KEYS=[{key: " + strings.Repeat("ab", 32) + "}]", "GOLDCREST_CACHE_STORE_DIR=" + dir + "/store",
				"GOLDCREST_CACHE_STORE_MIN_FREE=1MiB", "GOLDCREST_PREWARM_QUEUE_DIR=" + dir + "/queue", "GOLDCREST_SERVER_LISTEN=127.0.0.1:0",
				"GOLDCREST_SERVER_ADMIN=127.0.0.1:0", "GOLDCREST_TRANSFORM_WORKERS=1"}
			environ = append(environ, variable)
			code, _, said := call(t, environ, "serve")
			_, todo, ok := strings.Cut(said, "To do: ")
			todo = strings.TrimSuffix(strings.TrimSpace(todo), ".")
			if code != exitFailed || !ok {
				t.Fatalf("serve: exit %d, and no remedy in\n%s", code, said)
			}
			_, table, _ := call(t, environ, "doctor")
			if !strings.Contains(table, "To do: "+todo) {
				t.Errorf("serve says %q; doctor says\n%s", todo, table)
			}
		})
	}
}
