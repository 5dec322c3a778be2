package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/client"
	"github.com/goldcrest/goldcrest/signing"
)

// program runs this binary as the program, in its own folder and environment.
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

// The built program responds to each wrong call with what is wrong and what to do, and with the matching exit code.
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

// programCall is a call of the program, with its exit code and output.
type programCall struct {
	args []string
	code int
	says []string
}

// wrongCalls are typical mistakes, and some correct calls. signed is a URL of the server; wrong has an invalid
// signature.
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
		{[]string{"migrate"}, exitUsage, []string{"goldcrest migrate check FILE"}},
		{[]string{"migrate", "check"}, exitUsage, []string{"give one file"}},
		{[]string{"migrate", "check", "-from", "nobody", "units.jsonl"}, exitUsage, []string{"-from is imgproxy or thumbor"}},
		{[]string{"migrate", "check", "units.jsonl"}, exitFailed, []string{"no line names the path of an image"}},
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
		{[]string{"sign", "-ttl", "-1h", "http://c.example/a.jpg"}, exitUsage,
			[]string{"-ttl and -round must not be negative"}},
		{[]string{"sign", "-preset", "lite", "http://c.example/a.jpg"}, exitUsage, []string{`there is no preset "lite": the configuration has none (-config names its file)`}},
		{[]string{"sign", "http://c.example/a.jpg", "b.jpg"}, exitFailed, []string{"URL 2 of 2: "}},
		{[]string{"get", "-o", "-", wrong}, exitFailed, []string{"that is a URL of this server (server.base_url), and the URL is not signed"}},
		{[]string{"get", signed, "-o", "-"}, exitFailed, []string{"connect_failed"}}, // it got as far as the source
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
