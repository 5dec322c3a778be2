package nats

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/goldcrest/goldcrest/intake"
)

// On a server with operators and accounts an intake needs a .creds file. One that is not there, or not good, is told by
// its setting and never by its text; the right one is taken without a restart.
func TestCredsFile(t *testing.T) {
	const testdata = "../../prewarm/natsqueue/testdata/"
	creds, err := os.ReadFile(testdata + "goldcrest.creds")
	if err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(testdata + "operator.conf")
	if err != nil {
		t.Fatal(err)
	}
	opts.Host, opts.Port, opts.NoSigs, opts.NoLog = "127.0.0.1", -1, true, true
	opts.JetStream, opts.StoreDir = true, t.TempDir()
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("NATS does not start")
	}
	file := filepath.Join(t.TempDir(), "goldcrest.creds")
	q := Open(intake.Config{Name: "shop", Broker: intake.Broker{
		Kind: intake.NATS, URL: "nats://" + s.Addr().String(), CredsFile: file, From: "units",
	}})
	defer q.Close()
	for name, tt := range map[string]struct{ text, said string }{
		"not there": {"", "creds_file: "},
		"no creds":  {"SUA-hunter2", "creds_file: "},
		"spoilt":    {strings.Replace(string(creds), "SUAC2", "SUAC3", 1), ""},
	} {
		_ = os.Remove(file)
		if tt.text != "" {
			write(t, file, tt.text)
		}
		_, err := q.Waiting(t.Context())
		if err == nil || !strings.Contains(err.Error(), tt.said) || strings.Contains(err.Error(), "SUA") {
			t.Errorf("%s: error = %v", name, err)
		}
	}
	write(t, file, string(creds))
	if n, err := q.Waiting(t.Context()); n != 0 || err != nil {
		t.Errorf("with the right credentials %d messages wait, error %v", n, err)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
