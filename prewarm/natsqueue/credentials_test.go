package natsqueue

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/goldcrest/goldcrest/purge"
	"github.com/goldcrest/goldcrest/purge/purgetest"
)

// guarded starts a NATS server that requires credentials, with conf as its configuration, and returns the
// configuration's file.
func guarded(t *testing.T, conf string) (s *server.Server, url, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "nats.conf")
	secret(t, file, conf+"\nlisten: 127.0.0.1:-1\njetstream {store_dir: "+t.TempDir()+"}\n")
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	opts.NoSigs = true
	if s, err = server.NewServer(opts); err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { end(s) })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server does not start")
	}
	return s, "nats://" + s.Addr().String(), file
}

func secret(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// openLogged opens a queue and captures its log.
func openLogged(t *testing.T, cfg Config) (*Queue, *logged) {
	t.Helper()
	log := &logged{}
	q, err := Open(t.Context(), cfg, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close(context.Background()) })
	return q, log
}

// soon waits until ok holds.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in 30 s: %s", what)
		}
	}
}

// Every kind of credentials opens the queue. Wrong ones are logged once, with the setting to check and without the
// credentials themselves. The right ones are used without a restart.
func TestCredentials(t *testing.T) {
	operator, err := os.ReadFile("testdata/operator.conf")
	if err != nil {
		t.Fatal(err)
	}
	creds, err := os.ReadFile("testdata/goldcrest.creds")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "secret")
	const user = "authorization {user: goldcrest, password: right-password}"
	spoilt := strings.Replace(string(creds), "SUAC2", "SUAC3", 1)
	for name, test := range map[string]struct {
		server       string
		cfg          Config
		wrong, right string // the contents of the file
		told         string
	}{
		"password":    {user, Config{User: "goldcrest", PasswordFile: file}, "wrong-password", "right-password\n", "compare prewarm.queue.user and the text of prewarm.queue.password_file with"},
		"no file yet": {user, Config{User: "goldcrest", PasswordFile: file}, "", "right-password", "prewarm.queue.password_file: open "},
		"empty file":  {user, Config{User: "goldcrest", PasswordFile: file}, "\n", "right-password", "prewarm.queue.password_file: " + file + " is empty"},
		"token":       {"authorization {token: right-password}", Config{PasswordFile: file}, "wrong-password", "right-password", "compare the token in prewarm.queue.password_file with"},
		"creds":       {string(operator), Config{CredsFile: file}, spoilt, string(creds), "prewarm.queue.creds_file"},
		"no creds":    {string(operator), Config{CredsFile: file}, "", string(creds), "prewarm.queue.creds_file: open "},
	} {
		t.Run(name, func(t *testing.T) {
			_ = os.Remove(file)
			if test.wrong != "" {
				secret(t, file, test.wrong)
			}
			test.cfg.Keep = Default().Keep
			_, test.cfg.NATS, _ = guarded(t, test.server)
			q, log := openLogged(t, test.cfg)
			soon(t, "the wrong credentials are told", func() bool { return log.count(test.told) > 0 })
			secret(t, file, test.right)
			if err := q.Await(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := q.Put(t.Context(), ticket("normal", "x")); err != nil {
				t.Error(err)
			}
			if n := log.count(test.told); n != 1 {
				t.Errorf("it was told %d times:\n%s", n, log.out.String())
			}
			if log.count("wrong-password")+log.count("right-password")+log.count("SUAC") > 0 {
				t.Errorf("the log holds credentials:\n%s", log.out.String())
			}
		})
	}
}

// Errors about wrong credentials in a URL, and about missing ones, name the settings to use.
func TestCredentialsInTheURL(t *testing.T) {
	_, url, _ := guarded(t, "authorization {user: goldcrest, password: right-password}")
	for given, told := range map[string]string{
		url: "set prewarm.queue.user and prewarm.queue.password_file, or creds_file",
		strings.Replace(url, "//", "//goldcrest:wrong-password@", 1): "compare user and password in prewarm.queue.nats with",
	} {
		cfg := Default()
		cfg.NATS = given
		_, log := openLogged(t, cfg)
		soon(t, told, func() bool { return log.count(told) > 0 })
		if log.count("wrong-password") > 0 {
			t.Errorf("the log holds the password:\n%s", log.out.String())
		}
	}
}

// The cluster's password is changed while both connections are open. They are refused while the file has the old
// password, log that once, and reconnect with the new one.
func TestCredentialsAreExchanged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	secret(t, file, "first-password")
	s, url, conf := guarded(t, "authorization {user: goldcrest, password: first-password}")
	cfg := Default()
	cfg.NATS, cfg.User, cfg.PasswordFile = url, "goldcrest", file
	q, log := openLogged(t, cfg)
	if err := q.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	purges, err := OpenPurges(cfg, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(purges.Close)
	soon(t, "a purge is written", func() bool { return purges.Append(t.Context(), "purge.a", []byte("x")) == nil })

	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	secret(t, conf, strings.Replace(string(text), "first-password", "second-password", 1))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	// By default the library ends a connection for good after the same refusal twice.
	soon(t, "both connections are refused again and again", func() bool { return log.count("the connection for purges") > 3 })
	const told = `msg="the connection to the prewarm queue" error="NATS refuses`
	if n := log.count(told); n != 1 {
		t.Errorf("it was told %d times:\n%s", n, log.out.String())
	}
	secret(t, file, "second-password")
	soon(t, "a unit is queued", func() bool { return q.Put(t.Context(), ticket("normal", "y")) == nil })
	soon(t, "a purge is written again", func() bool { return purges.Append(t.Context(), "purge.b", []byte("x")) == nil })
	f := purgetest.Start(t, purges, purge.Place{})
	for _, want := range []string{"purge.a", "purge.b"} {
		if got := f.Next(); got.Name != want {
			t.Errorf("got %s, want %s", got.Name, want)
		}
	}
	f.Stop()
	<-f.Ended
	if log.count("-password") > 0 {
		t.Errorf("the log holds a password:\n%s", log.out.String())
	}
}

// Credentials that contradict each other are refused.
func TestUnusableCredentials(t *testing.T) {
	const url = "nats://nats:4222"
	for want, cfg := range map[string]Config{
		"prewarm.queue.user: it needs prewarm.queue.password_file": {NATS: url, User: "goldcrest"},
		"one of password_file and creds_file":                      {NATS: url, PasswordFile: "/a", CredsFile: "/b"},
		"set prewarm.queue.nats too":                               {Dir: "/q", PasswordFile: "/a"},
		"prewarm.queue.nats: it holds credentials, and so does":    {NATS: "nats://a:4222, nats://u:secret@b:4222", User: "u", PasswordFile: "/a"},
		"": {NATS: url, User: "goldcrest", PasswordFile: "/a"},
	} {
		cfg.Keep = time.Hour
		err := cfg.Validate()
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret@")) {
			t.Errorf("%+v: got %v, want %q", cfg, err, want)
		}
	}
}
