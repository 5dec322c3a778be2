package e2e

import (
	"bufio"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAttackUninvitedAtNats is attack 4.3: without the password, the queue of the shipped deployments accepts no
// command and no route of a false peer. doctor and the log report a wrong password in Goldcrest's own file with the
// setting and the remedy, but without the password.
func TestAttackUninvitedAtNats(t *testing.T) {
	peers := startNats(t)
	conf := readFile(t, peers[0].file)
	_, route, _ := strings.Cut(conf[strings.Index(conf, "cluster {"):], "listen: ")
	route, _, _ = strings.Cut(route, "\n")
	for _, addr := range []string{peers[0].url, route} {
		for _, credentials := range []string{``, `"user":"goldcrest","pass":"guessed"`, `"user":"route","pass":"guessed"`, `"auth_token":"guessed"`} {
			c, err := net.DialTimeout("tcp", addr, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := c.Write([]byte("CONNECT {" + credentials + "}\r\nPING\r\n")); err != nil {
				t.Fatal(err)
			}
			said := ""
			for lines := bufio.NewScanner(c); lines.Scan() && said == ""; {
				if line := lines.Text(); !strings.HasPrefix(line, "INFO") {
					said = line
				}
			}
			c.Close()
			if !strings.Contains(said, "Authorization Violation") {
				t.Errorf("%s with %s: got %q", addr, credentials, said)
			}
		}
	}

	const guessed = "a-password-that-is-wrong"
	dir := t.TempDir()
	file := filepath.Join(dir, "nats")
	write(t, file, guessed+"\n")
	s := startIn(t, dir, "GOLDCREST_PREWARM_QUEUE_NATS="+natsURLFor(peers, ""), "GOLDCREST_PREWARM_QUEUE_USER=goldcrest", "GOLDCREST_PREWARM_QUEUE_PASSWORD_FILE="+file)
	const told = "compare prewarm.queue.user and the text of prewarm.queue.password_file with the authorization of the NATS servers"
	eventually(t, "the log tells it", func() bool { return strings.Contains(s.log.String(), told) })
	doctor := exec.Command(binary, "doctor", "-config", filepath.Join(dir, "config.yaml"))
	doctor.Env = s.cmd.Env
	out, err := doctor.CombinedOutput()
	if err == nil || !strings.Contains(string(out), told) {
		t.Errorf("doctor: %v\n%s", err, out)
	}
	write(t, file, natsPassword+"\n")
	eventually(t, "the right password is taken without a restart", func() bool { return strings.Contains(s.log.String(), "the prewarm queue is open") })
	if text := s.log.String() + string(out); strings.Contains(text, guessed) || strings.Contains(text, natsPassword) {
		t.Errorf("a password is told:\n%s", text)
	}
}

// TestAttackExchangedSecretFiles is attack 3.6: a key file that another user can write, owns, or can replace. The
// server refuses to start, and says which file it is and what to do.
func TestAttackExchangedSecretFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		expose func(dir, file string) error
		says   string
	}{
		"a file that others can write": {func(_, file string) error { return os.Chmod(file, 0o622) },
			"secret/key can be written by others than its owner"},
		"a directory that others can write": {func(dir, _ string) error { return os.Chmod(dir, 0o777) },
			"secret can be written by others than its owner"},
		"a file of another user": {func(_, file string) error { return os.Chown(file, 12345, -1) },
			"secret/key belongs to user 12345"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			secret := filepath.Join(dir, "secret")
			file, cfg := filepath.Join(secret, "key"), filepath.Join(dir, "config.yaml")
			if err := os.Mkdir(secret, 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, file, hex.EncodeToString(key)+"\n"+hex.EncodeToString(salt)+"\n")
			write(t, cfg, "server: {listen: '127.0.0.1:0', admin: '127.0.0.1:0'}\nsigning: {keys: [{key_file: "+file+"}]}\n")
			if err := tt.expose(secret, file); errors.Is(err, os.ErrPermission) {
				t.Skip("only root can give a file away")
			} else if err != nil {
				t.Fatal(err)
			}
			out, code := runBinary(t, "serve", "-config", cfg)
			if code != 1 || !strings.Contains(out, tt.says) ||
				!strings.Contains(out, "signing.keys[0].key_file") || strings.Contains(out, hex.EncodeToString(key)) {
				t.Errorf("exit %d, want 1 with %q in:\n%s", code, tt.says, out)
			}
		})
	}
}
