package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// runBinary runs the binary with arguments and returns its output and its exit code.
func runBinary(t *testing.T, args ...string) (output string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

// An invalid configuration is refused with an error that says where and what.
func TestBadConfig(t *testing.T) {
	for name, tt := range map[string]struct{ yaml, says string }{
		"unknown key":   {"sever: {listen: \":1\"}", "server"},
		"no keys":       {"server: {listen: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}", "key"},
		"short key":     {"signing: {keys: [{key: abcd}]}", "32"},
		"not a size":    {"origin: {max_bytes: lots}", "max_bytes"},
		"broken preset": {"presets: {a: \"frob:1\"}", "frob"},
		"not yaml":      {"server: [", "yaml"},
	} {
		file := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(file, []byte(tt.yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		out, code := runBinary(t, "serve", "-config", file)
		if code != 1 || !strings.Contains(out, tt.says) {
			t.Errorf("%s: exit %d, want 1 with %q in:\n%s", name, code, tt.says, out)
		}
	}
}

// Wrong usage exits with 2, help with 0.
func TestUsage(t *testing.T) {
	for want, calls := range map[int][][]string{
		2: {{"frobnicate"}, {"sign"}, {"serve", "-nope"}, {"get"}, {"explain"}},
		0: {{"help"}, {"-h"}, {"serve", "-h"}, {"sign", "--help"}, {"version"}, {"config"}},
	} {
		for _, args := range calls {
			if out, code := runBinary(t, args...); code != want {
				t.Errorf("%v: exit %d, want %d:\n%s", args, code, want, out)
			}
		}
	}
}

// Secrets are masked wherever the configuration is printed.
func TestFault37ConfigMasksSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(configText(t.TempDir(), "")), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := runBinary(t, "config", "-config", file)
	if code != 0 || strings.Contains(out, hex.EncodeToString(key)) || strings.Contains(out, hex.EncodeToString(salt)) {
		t.Errorf("exit %d; the keys must not be in:\n%s", code, out)
	}
}

// Under load, a valid configuration is applied and an invalid one is not; old and new keys are valid while they
// overlap.
func TestFault24ReloadUnderLoad(t *testing.T) {
	corpus(t)
	o, dir := startOrigin(t), t.TempDir()
	s := startIn(t, dir)
	path := signed("w:120/f:jpg", o.URL+"/photos/groceries.jpg")
	s.get(path)
	file := filepath.Join(dir, "config.yaml")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rotated := strings.Replace(string(good), "keys: [", "keys: [{key: "+strings.Repeat("ab", 32)+"}, ", 1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var asked int
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			a, err := request("GET", s.public+path)
			if err != nil || a.StatusCode != 200 {
				t.Errorf("during reloads: %v %v", a.Response, err)
				return
			}
			asked++
		}
	})
	reloads := func(outcome string) float64 {
		return s.metric("goldcrest_config_reloads_total", fmt.Sprintf("outcome=%q", outcome))
	}
	for i := range 100 {
		text, outcome := rotated, "ok"
		if i%2 == 1 {
			text, outcome = "server: {nonsense: 1}", "error"
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		before := reloads(outcome)
		s.cmd.Process.Signal(syscall.SIGHUP)
		eventually(t, "the reload was noticed", func() bool { return reloads(outcome) == before+1 })
	}
	close(stop)
	wg.Wait()
	if asked == 0 {
		t.Error("nothing was asked meanwhile")
	}
}

// During a key rotation, URLs signed with either key are valid. Once the old key is removed, only those of the new one
// are.
func TestFault25KeyRotation(t *testing.T) {
	corpus(t)
	o, dir := startOrigin(t), t.TempDir()
	file, newKey := filepath.Join(dir, "config.yaml"), bytes.Repeat([]byte{7}, 32)
	text := configText(dir, "")
	oldPair := fmt.Sprintf("{key: %x, salt: %x}", key, salt)
	newPair := fmt.Sprintf("{key: %x, salt: %x}", newKey, salt)
	if err := os.WriteFile(file, []byte(strings.Replace(text, oldPair, newPair+", "+oldPair, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startIn(t, dir)
	source := "/w:90/f:jpg/" + base64.RawURLEncoding.EncodeToString([]byte(o.URL+"/photos/groceries.jpg"))
	byOld, byNew := sign(source), signWith(newKey, source)
	a, b := s.get(byOld), s.get(byNew)
	if a.StatusCode != 200 || b.StatusCode != 200 || !bytes.Equal(a.body, b.body) {
		t.Errorf("while both are valid: got %d and %d", a.StatusCode, b.StatusCode)
	}
	b.want(t, "Cache-Status", "goldcrest; hit; detail=memory") // The signature is not part of the key.
	if err := os.WriteFile(file, []byte(strings.Replace(text, oldPair, newPair, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "the old key is refused", func() bool { return s.get(byOld).StatusCode == 403 })
	if a := s.get(byNew); a.StatusCode != 200 {
		t.Errorf("the new key: got %d, want 200", a.StatusCode)
	}
}

// At SIGTERM the server first stops being ready, and running requests complete.
func TestFault23GracefulStop(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t)
	done := make(chan answer, 1)
	go func() {
		a, _ := request("GET", s.public+signed("w:150/f:webp", o.URL+"/slow/1500/photos/groceries.jpg"))
		done <- a
	}()
	eventually(t, "the fetch began", func() bool { return o.count("/slow/1500/photos/groceries.jpg") == 1 })
	s.cmd.Process.Signal(syscall.SIGTERM)
	eventually(t, "readiness is off", func() bool {
		a, err := request("GET", s.public+"/health")
		return err != nil || a.StatusCode == 503
	})
	if a := <-done; a.Response == nil || a.StatusCode != 200 {
		t.Errorf("the running request did not end well: %v", a.Response)
	}
	<-s.done
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit %d, want 0:\n%s", code, s.log)
	}
}

// The command line makes URLs that the server accepts, and explains them.
func TestSignGetExplain(t *testing.T) {
	corpus(t)
	o, dir := startOrigin(t), t.TempDir()
	s := startIn(t, dir)
	file := filepath.Join(dir, "config.yaml")
	out, code := runBinary(t, "sign", "-config", file, "-options", "rs:fit:90:0/f:png", "-ttl", "1h", o.URL+"/photos/groceries.jpg")
	url := strings.TrimSpace(out)
	_, path, ok := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	if code != 0 || !ok {
		t.Fatalf("exit %d: %s", code, out)
	}
	a := s.get("/" + path)
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "image/png" {
		t.Errorf("got %d %s %s", a.StatusCode, a.Header.Get("Content-Type"), a.body)
	}
	out, code = runBinary(t, "explain", "-config", file, url)
	if code != 0 || !strings.Contains(out, "valid") || !strings.Contains(out, "png") {
		t.Errorf("explain: exit %d:\n%s", code, out)
	}
	to := filepath.Join(dir, "out.webp")
	out, code = runBinary(t, "get", "-config", file, "-options", "rs:fit:90:0/f:webp", "-o", to, o.URL+"/photos/groceries.jpg")
	body, err := os.ReadFile(to)
	if code != 0 || err != nil || len(body) < 12 || string(body[8:12]) != "WEBP" {
		t.Errorf("get: exit %d, %v:\n%s", code, err, out)
	}
	if out, code := runBinary(t, "healthcheck", "-url", s.admin+"/healthz"); code != 0 {
		t.Errorf("healthcheck: exit %d: %s", code, out)
	}
}
