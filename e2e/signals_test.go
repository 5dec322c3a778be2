package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// configPipe is a named pipe as configuration file, so that a process waits for it. give returns once a reader has read
// all of it.
type configPipe struct {
	t    *testing.T
	file string
}

func newConfigPipe(t *testing.T, dir string) configPipe {
	t.Helper()
	p := configPipe{t, filepath.Join(dir, "config.yaml")}
	if err := syscall.Mkfifo(p.file, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// open waits until a process reads the file.
func (p configPipe) open() *os.File {
	p.t.Helper()
	opened := make(chan *os.File, 1)
	go func() {
		f, err := os.OpenFile(p.file, os.O_WRONLY, 0)
		if err != nil {
			p.t.Error(err)
		}
		opened <- f
	}()
	select {
	case f := <-opened:
		return f
	case <-time.After(20 * time.Second):
		p.t.Fatal("nobody read the configuration in 20 s")
		return nil
	}
}

func (p configPipe) give(f *os.File, text string) {
	p.t.Helper()
	if _, err := f.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		p.t.Fatal(err)
	}
}

// A SIGHUP before the server has opened anything does not kill the process; the reload is done after the start.
func TestHangupDuringTheStart(t *testing.T) {
	dir := t.TempDir()
	p := newConfigPipe(t, dir)
	s := launch(t, dir, []string{binary, "serve", "-config", p.file})
	f := p.open()
	s.cmd.Process.Signal(syscall.SIGHUP)
	p.give(f, configText(dir, ""))
	s.await()
	p.give(p.open(), configText(dir, "log: {level: debug}\n")) // The reload reads it again.
	eventually(t, "the reload was done", func() bool { return s.metric("goldcrest_config_reloads_total", `outcome="ok"`) == 1 })
}

// SIGTERM and Ctrl-C end the process cleanly during the start: at its beginning, and while a part waits for a response.
func TestStopDuringTheStart(t *testing.T) {
	t.Run("reading the configuration", func(t *testing.T) {
		dir := t.TempDir()
		p := newConfigPipe(t, dir)
		s := launch(t, dir, []string{binary, "serve", "-config", p.file})
		f := p.open()
		s.cmd.Process.Signal(syscall.SIGTERM)
		p.give(f, configText(dir, ""))
		if code := s.exits(10 * time.Second); code != 0 || strings.Contains(s.log.String(), `"serving"`) {
			t.Errorf("exit %d, want 0 without serving:\n%s", code, s.log)
		}
	})
	t.Run("asking the bucket", func(t *testing.T) {
		bucket, dir := startS3(t), t.TempDir()
		asked := make(chan struct{})
		var once sync.Once
		bucket.proxy.fail(func(_ http.ResponseWriter, r *http.Request) {
			once.Do(func() { close(asked) })
			<-r.Context().Done()
		})
		file := filepath.Join(dir, "config.yaml")
		write(t, file, configText(dir, ""))
		s := launch(t, dir, []string{binary, "serve", "-config", file}, bucket.env()...)
		select {
		case <-asked:
		case <-s.done:
			t.Fatalf("the server ended:\n%s", s.log)
		case <-time.After(20 * time.Second):
			t.Fatal("the bucket was not asked")
		}
		s.cmd.Process.Signal(os.Interrupt)
		if code := s.exits(10 * time.Second); code != 0 || strings.Contains(s.log.String(), `"serving"`) {
			t.Errorf("exit %d, want 0 without serving:\n%s", code, s.log)
		}
	})
}

// A second Ctrl-C ends a drain at once; a second SIGTERM does not.
func TestSecondInterruptEndsTheDrain(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	source := o.URL + "/slow/6000/photos/groceries.jpg"
	begin := func(first os.Signal) (s *server, got chan int) {
		before := o.count("/slow/6000/photos/groceries.jpg")
		s, got = start(t, "GOLDCREST_SERVER_DRAIN=15s"), make(chan int, 1)
		go func() {
			a, err := request("GET", s.public+signed("w:150/f:webp", source))
			if err != nil {
				got <- 0
				return
			}
			got <- a.StatusCode
		}()
		eventually(t, "the fetch began", func() bool { return o.count("/slow/6000/photos/groceries.jpg") == before+1 })
		s.cmd.Process.Signal(first)
		eventually(t, "readiness is off", func() bool {
			a, err := request("GET", s.public+"/health")
			return err != nil || a.StatusCode == 503
		})
		return s, got
	}
	s, got := begin(syscall.SIGTERM)
	s.cmd.Process.Signal(syscall.SIGTERM)
	if status := <-got; status != 200 {
		t.Errorf("after a second SIGTERM the request that ran got %d, want 200", status)
	}
	if code := s.exits(20 * time.Second); code != 0 {
		t.Errorf("exit %d, want 0:\n%s", code, s.log)
	}
	s, got = begin(os.Interrupt)
	s.cmd.Process.Signal(os.Interrupt)
	if code := s.exits(3 * time.Second); code != -1 { // by the signal
		t.Errorf("exit %d, want an end by the signal:\n%s", code, s.log)
	}
	if status := <-got; status != 0 {
		t.Errorf("the request that ran got %d, want none", status)
	}
}

// Settings that need a restart are named and keep their old values everywhere; the others are applied.
func TestReloadNamesWhatNeedsARestart(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	text := strings.Replace(configText(dir, ""), "prewarm: {", "prewarm: {presets: [std], ", 1)
	write(t, file, text)
	s := startIn(t, dir, "GOLDCREST_API_TOKENS=[{name: backend, token: "+backendToken+", scopes: [prewarm, sign, admin]}]")
	before := s.prewarm("", `{"id": "a", "image": "https://example.com/a.jpg"}`).Units[0].Images[0].Variants[0].URL

	changed := strings.NewReplacer(`server: {`, `server: {base_url: "https://img.example.com", path_prefix: /img, `, "deadline: 20s", "deadline: 21s",
		"workers: 2", "workers: 3", "cache: {", "cache: {max_age: 1h, ", "rs:fit:800:0", "rs:fit:640:0").Replace(text)
	write(t, file, changed)
	s.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "the reload was done", func() bool { return s.metric("goldcrest_config_reloads_total", `outcome="ok"`) == 1 })

	const names = `"server.base_url","server.path_prefix","server.deadline","transform.workers"`
	eventually(t, "the log names what needs a restart", func() bool { return strings.Contains(s.log.String(), `"keys":[`+names+`]`) })
	if !strings.Contains(s.log.String(), `"changed":["cache.max_age","presets"]`) {
		t.Errorf("the log does not name what was taken:\n%s", s.log)
	}
	shown := string(s.call("GET", "/v1/config", "").body)
	for _, want := range []string{
		"# Changed since the start, in force after a restart: server.base_url, server.path_prefix, server.deadline, transform.workers\n",
		"base_url: http://localhost:8080\n", "workers: 2\n", "deadline: 20s\n", "max_age: 1h\n", "std: rs:fit:640:0\n",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("/v1/config does not show %q:\n%s", want, shown)
		}
	}
	after := s.prewarm("", `{"id": "b", "image": "https://example.com/b.jpg"}`).Units[0].Images[0].Variants[0].URL
	if !strings.HasPrefix(before, "http://localhost:8080/") || !strings.HasPrefix(after, "http://localhost:8080/") {
		t.Errorf("URLs of prewarm: %s before, %s after", before, after)
	}
	if strings.Contains(after, "/img/") {
		t.Errorf("%s has a prefix that is not in force", after)
	}

	write(t, file, text)
	s.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "the reload was done", func() bool { return s.metric("goldcrest_config_reloads_total", `outcome="ok"`) == 2 })
	if shown := string(s.call("GET", "/v1/config", "").body); strings.HasPrefix(shown, "#") {
		t.Errorf("with the old file again nothing waits for a restart:\n%s", shown)
	}
}
