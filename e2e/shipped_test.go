package e2e

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The shipped configuration is started. Only addresses and paths are changed. The server accepts a Data Unit and serves
// its variants. TestShippedContainers has those of deploy.
func TestShippedConfiguration(t *testing.T) {
	corpus(t)
	dir := t.TempDir()
	makeSecrets(t, dir)
	shipped(t, "config.yaml", filepath.Join(dir, "config.yaml"), "./data", dir+"/data")
	s := startIn(t, dir, append(shippedEnv, "GOLDCREST_SIGNING_KEYS=[{key_file: "+dir+"/signing}]", "GOLDCREST_CACHE_STORE_MIN_FREE=1MiB",
		"GOLDCREST_API_TOKENS=[{name: backend, token_file: "+dir+"/api, scopes: [prewarm]}]", "GOLDCREST_PREWARM_PRESETS=[lite, std]")...)
	if n := s.worksAsShipped(readFile(t, filepath.Join(dir, "api"))); n != 1 {
		t.Errorf("the origin was asked %d times, want once", n)
	}
}

// The commands at the top of the systemd unit are run unchanged, except for paths; the service then runs as another
// user.
func TestShippedSystemdUnit(t *testing.T) {
	corpus(t)
	if os.Getuid() != 0 {
		t.Skip("only root can run a service as another user")
	}
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // The service's user needs access to the folder.
		t.Fatal(err)
	}
	places := strings.NewReplacer("/etc/", dir+"/etc/", "/usr/local/bin/", dir+"/bin/", "/var/lib/", dir+"/lib/", "-g goldcrest", "-g 65534")
	for _, folder := range []string{"etc/systemd/system", "bin", "lib", "from"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkdir(filepath.Join(dir, "lib/goldcrest"), 0o700); err != nil { // like StateDirectory
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(dir, "lib/goldcrest"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "from"), os.DirFS("../deploy/systemd")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(dir, "from", "goldcrest")); err != nil {
		t.Fatal(err)
	}
	unit := readFile(t, "../deploy/systemd/goldcrest.service")
	script := "set -eu\numask 022\nuseradd() { :; }\nsystemctl() { :; }\n" // The user exists on every system; there is no systemd.
	for line := range strings.Lines(unit) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "#   "); ok {
			script += places.Replace(command) + "\n"
		}
	}
	env, start := unitStart(places.Replace(unit))
	install := exec.Command("bash", "-c", script)
	install.Dir = filepath.Join(dir, "from")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	config := filepath.Join(dir, "etc/goldcrest/config.yaml")
	write(t, config, places.Replace(readFile(t, config))) // It keeps its mode and group.
	words := strings.Fields(start)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env = filepath.Join(dir, "lib/goldcrest"), slices.Concat(os.Environ(), shippedEnv, env, []string{"GOLDCREST_CACHE_STORE_MIN_FREE=1MiB"})
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	s := launchCmd(t, dir, cmd)
	s.await()
	if n := s.worksAsShipped(readFile(t, filepath.Join(dir, "etc/goldcrest/api"))); n != 1 {
		t.Errorf("the origin was asked %d times, want once", n)
	}
	if strings.Contains(s.log.String(), "can read") {
		t.Errorf("the secrets are open to others:\n%s", s.log)
	}
}

// unitStart is the command of a systemd unit, and its environment.
func unitStart(unit string) (env []string, start string) {
	for line := range strings.Lines(unit) {
		line = strings.TrimSpace(line)
		if variable, ok := strings.CutPrefix(line, "Environment="); ok {
			env = append(env, variable)
		}
		if command, ok := strings.CutPrefix(line, "ExecStart="); ok {
			start = command
		}
	}
	return env, start
}

// shippedEnv sets addresses of this machine; base_url stays as shipped.
var shippedEnv = []string{"GOLDCREST_SERVER_LISTEN=127.0.0.1:0", "GOLDCREST_SERVER_ADMIN=127.0.0.1:0", `GOLDCREST_ORIGIN_ALLOW_PRIVATE=["127.0.0.0/8"]`, "GOLDCREST_SERVER_DRAIN=2s"}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// shipped copies a file of the repository and replaces a path in it.
func shipped(t *testing.T, name, to, place, here string) {
	t.Helper()
	text := readFile(t, "../"+name)
	if !strings.Contains(text, place) {
		t.Fatalf("%s does not hold %q", name, place)
	}
	write(t, to, strings.ReplaceAll(text, place, here))
}

// makeSecrets makes the files of deploy/README.md.
func makeSecrets(t *testing.T, dir string) {
	t.Helper()
	write(t, filepath.Join(dir, "signing"), strings.Repeat("5a", 32)+"\n"+strings.Repeat("a5", 32)+"\n")
	write(t, filepath.Join(dir, "api"), "shipped-token-0001-0001\n")
	write(t, filepath.Join(dir, "nats"), natsPassword+"\n")
}

// worksAsShipped prewarms a unit and requests one of the URLs that the job has made. It returns how often the origin was
// asked: once, unless a slow machine lets another instance repeat the task.
func (s *server) worksAsShipped(token string) (fetches int) {
	s.t.Helper()
	o := startOrigin(s.t)
	body := strings.NewReader(`{"id": "a", "image": "` + o.URL + `/photos/groceries.jpg"}`)
	auth := []string{"Authorization", "Bearer " + strings.TrimSpace(token)}
	var a accepted
	within(s.t, 30e9, "the unit was accepted", func() bool {
		body.Seek(0, 0)
		res, err := send("POST", s.admin+"/v1/prewarm", body, auth...)
		return err == nil && res.StatusCode == 202 && json.Unmarshal(res.body, &a) == nil
	})
	var j job
	within(s.t, 60e9, "the job ended", func() bool {
		res, err := send("GET", s.admin+"/v1/jobs/"+a.Job+"?wait=5", nil, auth...)
		return err == nil && json.Unmarshal(res.body, &j) == nil && j.State == "done"
	})
	u, err := url.Parse(a.Units[0].Images[0].Variants[0].URL)
	if err != nil {
		s.t.Fatal(err)
	}
	res := s.get(u.EscapedPath())
	if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "image/") || !strings.Contains(res.Header.Get("Cache-Status"), "hit") {
		s.t.Errorf("%s: got %d %s %s\n%s", u, res.StatusCode, res.Header.Get("Content-Type"), res.Header.Get("Cache-Status"), s.log)
	}
	return o.count("/photos/groceries.jpg")
}
