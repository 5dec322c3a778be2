package natsqueue

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/goldcrest/goldcrest/purge"
	"github.com/goldcrest/goldcrest/purge/purgetest"
)

// oneServer is a NATS server that listens. Its port stays the same when it is started again.
func oneServer(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, JetStream: true, StoreDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

func openPurges(t *testing.T, url string) *Purges {
	t.Helper()
	p, err := OpenPurges(Config{NATS: url}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestPurgesAreALog(t *testing.T) {
	purgetest.RunLog(t, func(t *testing.T) purge.Log { return openPurges(t, oneServer(t, t.TempDir(), -1).ClientURL()) })
}

// A server that restarts has the same log, and nothing is missed. A server that lost its disk has a different log.
func TestPurgesAfterTheServer(t *testing.T) {
	dir := t.TempDir()
	s := oneServer(t, dir, -1)
	url := s.ClientURL()
	port := s.Addr().(*net.TCPAddr).Port
	p, other := openPurges(t, url), openPurges(t, url)
	add := func(name string) {
		t.Helper()
		var err error
		for range 100 { // the clients reconnect by themselves
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err = other.Append(ctx, name, []byte("x"))
			cancel()
			if err == nil {
				return
			}
		}
		t.Fatal(err)
	}
	stop := func() { s.Shutdown(); s.WaitForShutdown() }
	add("purge.a")
	f := purgetest.Start(t, p, purge.Place{})
	a := f.Next()
	f.Stop()
	<-f.Ended
	stop()
	s = oneServer(t, dir, port)
	add("purge.b")
	f = purgetest.Start(t, p, a.Place)
	if b := f.Next(); b.Name != "purge.b" || b.Epoch != a.Epoch || b.Seq <= a.Seq {
		t.Errorf("got %+v behind %+v", b, a)
	}
	f.Stop()
	<-f.Ended
	stop()
	s = oneServer(t, t.TempDir(), port)
	add("purge.c")
	again := purgetest.Start(t, p, a.Place)
	if c := again.Next(); c.Name != "purge.c" || c.Epoch <= a.Epoch {
		t.Errorf("got %+v, want the first record of another log than %+v", c, a)
	}
}
