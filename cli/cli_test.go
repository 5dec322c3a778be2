package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/client"
	"github.com/goldcrest/goldcrest/signing"
)

// program runs this binary as the program, in a folder and with an environment of its own.
func program(t *testing.T, dir string, environ []string, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, append(environ, asProgram+"=1"), strings.NewReader(stdin), &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// The built program answers each wrong call with what is wrong and what to do, and with the exit code of its kind.
func TestWrongCallsOfTheProgram(t *testing.T) {
	key := strings.Repeat("ab", 32)
	keys, err := signing.New(signing.Config{Keys: []signing.Key{{Key: key}}}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := client.FromKeyring("http://img.example:8080", keys)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.URL("http://127.0.0.1:1/a.jpg", "w:100", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	wrong := strings.Replace(signed, "8080/", "8080/A", 1)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "units.jsonl"), []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := []string{"GOLDCREST_SIGNING_KEYS=[{key: " + key + "}]", "GOLDCREST_SERVER_BASE_URL=http://img.example:8080", "GOLDCREST_TOKEN=0123456789abcdef",
		"GOLDCREST_CACHE_STORE_DIR=" + dir + "/store", "GOLDCREST_ORIGIN_ALLOW_PRIVATE=[127.0.0.0/8]"}
	for _, tt := range wrongCalls(signed, wrong) {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			t.Parallel()
			code, out, errs := program(t, dir, environ, "", tt.args...)
			if code != tt.code {
				t.Errorf("exit %d, want %d:\n%s%s", code, tt.code, out, errs)
			}
			for _, want := range tt.says {
				if !strings.Contains(out+errs, want) {
					t.Errorf("%q is not in\n%s%s", want, out, errs)
				}
			}
			if strings.Contains(errs, "Is a server running") {
				t.Errorf("no server was asked:\n%s", errs)
			}
		})
	}
}

// programCall is a call of the program: how it exits, and what it prints.
type programCall struct {
	args []string
	code int
	says []string
}

// wrongCalls are calls as people mistype them, with right ones beside them. signed is a URL of the server; wrong is not signed.
func wrongCalls(signed, wrong string) []programCall {
	return []programCall{
		{[]string{"help"}, exitOK, []string{"usage: goldcrest COMMAND", "prewarm"}},
		{[]string{"help", "help"}, exitOK, []string{"usage: goldcrest COMMAND"}},
		{[]string{"help", "sign"}, exitOK, []string{"usage: goldcrest sign ", "-ttl duration"}},
		{[]string{"-h", "sign"}, exitOK, []string{"usage: goldcrest sign "}},
		{[]string{"help", "sing"}, exitUsage, []string{`there is no command "sing"; did you mean sign?`}},
		{[]string{"prewram"}, exitUsage, []string{"did you mean prewarm?"}},
		{[]string{"frobnicate"}, exitUsage, []string{`there is no command "frobnicate"; "goldcrest help"`}},
		{[]string{"--version"}, exitOK, []string{"goldcrest dev", "libvips"}},
		{[]string{"-version"}, exitOK, []string{"goldcrest dev"}},
		{[]string{"version", "x"}, exitUsage, []string{`it takes no arguments, but "x" was given`}},
		{[]string{"serve", "config.yaml"}, exitUsage, []string{`"config.yaml" was given; a configuration file is given as -config config.yaml`}},
		{[]string{"config", "x"}, exitUsage, []string{"it takes no arguments"}},
		{[]string{"doctor", "x.yml"}, exitUsage, []string{"-config x.yml"}},
		{[]string{"demo", "pictures"}, exitUsage, []string{"it takes no arguments"}},
		{[]string{"healthcheck", "x"}, exitUsage, []string{"it takes no arguments"}},
		{[]string{"healthcheck", "-url", "x:80"}, exitUsage, []string{`"x:80" is not an http or https URL`}},
		{[]string{"purge", "-all", "x"}, exitUsage, []string{"it takes no arguments"}},
		{[]string{"serve", "-conifg", "x"}, exitUsage, []string{"there is no flag -conifg; did you mean -config?"}},
		{[]string{"version", "-x"}, exitUsage, []string{"there is no flag -x; the command has none"}},
		{[]string{"sign", "http://c.example/a.jpg", "-options", "w:9"}, exitOK, []string{"/w:9/"}},
		{[]string{"sign", "--", "-options"}, exitFailed, []string{"is not an http or https URL"}},
		{[]string{"sign", "-ttl", "7d", "http://c.example/a.jpg"}, exitUsage, []string{`-ttl: "7d" is not a duration in hours, minutes and seconds, such as 168h`}},
		{[]string{"sign", "--ttl=7d", "http://c.example/a.jpg"}, exitUsage, []string{`-ttl: "7d" is not a duration`}},
		{[]string{"sign", "-ttl", "-1h", "http://c.example/a.jpg"}, exitUsage, []string{"-ttl and -round are not negative"}},
		{[]string{"sign", "-preset", "lite", "http://c.example/a.jpg"}, exitUsage, []string{`there is no preset "lite": the configuration has none (-config names its file)`}},
		{[]string{"sign", "http://c.example/a.jpg", "b.jpg"}, exitFailed, []string{"URL 2 of 2: "}},
		{[]string{"get", "-o", "-", wrong}, exitFailed, []string{"that is a URL of this server (server.base_url), and the URL is not signed"}},
		{[]string{"get", signed, "-o", "-"}, exitFailed, []string{"connect_failed"}}, // It got as far as the source.
		{[]string{"get", strings.TrimPrefix(signed, "http://img.example:8080"), "-o", "-"}, exitFailed, []string{"connect_failed"}},
		{[]string{"explain", signed}, exitOK, []string{"signature  valid"}},
		{[]string{"explain", wrong}, exitFailed, []string{"signature  not valid", "the server refuses this URL", "bad_signature"}},
		{[]string{"prewarm"}, exitUsage, []string{"give one FILE with Data Units"}},
		{[]string{"prewarm", "-budget", "200k", "units.jsonl"}, exitUsage, []string{`-budget: "200k" is not a whole number`}},
		{[]string{"prewarm", "-budget", "-1", "units.jsonl"}, exitUsage, []string{"-budget: -1 is less than 0"}},
		{[]string{"prewarm", "-batch", "0", "units.jsonl"}, exitUsage, []string{"-batch: 0 is less than 1"}},
		{[]string{"prewarm", "-again=maybe", "units.jsonl"}, exitUsage, []string{`"maybe"`, "-again"}},
		{[]string{"prewarm", "."}, exitFailed, []string{". is a directory, not a file"}},
		{[]string{"check", "v1/ab/x/y"}, exitUsage, []string{`"v1/ab/x/y" is not a URL; keys begin with v1/ and are given with -keys`}},
		{[]string{"check", "-keys", "http://c.example/a.jpg"}, exitUsage, []string{"is not a key"}},
		{[]string{"check", "-units", "nowhere"}, exitFailed, []string{"open nowhere", "look whether the name is right"}},
	}
}

// A file of units may be written as JSON is: a unit a line, over several lines, or in arrays. What cannot be read is named by its line
// and takes nothing else along.
func TestUnitFiles(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string // how each begins
	}{
		{"a unit a line", "{\"a\":1}\n\n{\"a\":2}\r\n{\"a\":3}", []string{`1:{"a":1}`, `3:{"a":2}`, `4:{"a":3}`}},
		{"a broken line", "{\"a\":1}\n{bad\n{\"a\":2}\n", []string{`1:{"a":1}`, `2:it is not valid JSON`, `3:{"a":2}`}},
		{"a line that was cut off", "{\"a\":\n{\"a\":2}\n{\"a\":3}\n", []string{`1:it is not valid JSON`, `2:{"a":2}`, `3:{"a":3}`}},
		{"a last line that was cut off", "{\"a\":1}\n{\"a\":", []string{`1:{"a":1}`, `2:it is not valid JSON`}},
		{"an object over lines", "{\n \"a\": [1,\n 2]\n}\n{\n \"a\": 2\n}", []string{`1:{"a":[1,2]}`, `5:{"a":2}`}},
		{"an object behind another", "{\n \"a\": 1\n} {\"a\": 2}\n{\"a\":3}", []string{`1:{"a":1}`, `3:{"a": 2}`, `4:{"a":3}`}},
		{"an array", "[\n {\"a\": 1},\n {\n  \"a\": 2}, 3\n]\n", []string{`2:{"a":1}`, `3:{"a":2}`, `4:a unit is a JSON object`}},
		{"arrays a line", "[{\"a\":1},{\"a\":2}]\n[{\"a\":3}]\n[]\n", []string{`1:{"a":1}`, `1:{"a":2}`, `2:{"a":3}`}},
		{"units behind an array", "[\n{\"a\":1}\n]\n{\"a\":2}\n{x\n", []string{`2:{"a":1}`, `4:{"a":2}`, `5:it is not valid JSON`}},
		{"an array that is cut off", "[\n{\"a\":1},\n{\"a\":2},\n", []string{`2:{"a":1}`, `3:{"a":2}`, `line 3: the array is no valid JSON`}},
		{"a whole call", `{"data_units":[{"a":1}],"variants":["lite"]}`, []string{`1:it is the body of a call`}},
		{"nothing", "\n \n", []string{}},
		{"a text", "a,b\n", []string{`1:it is not valid JSON`}},
	} {
		// One byte at a time: nothing may depend on where a read ends.
		for _, in := range []io.Reader{strings.NewReader(tt.text), oneByte{strings.NewReader(tt.text)}} {
			var got []string
			for r := newUnitReader(in); ; {
				u, err := r.next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					got = append(got, err.Error())
					break
				}
				text := string(u.text)
				if u.bad != "" {
					text = u.bad
				}
				got = append(got, fmt.Sprintf("%d:%s", u.line, text))
			}
			fits := func(got, want string) bool { return strings.HasPrefix(got, want) }
			if !slices.EqualFunc(got, tt.want, fits) {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
		}
	}
}

// oneByte reads byte by byte.
type oneByte struct{ from io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.from.Read(p[:min(1, len(p))]) }
