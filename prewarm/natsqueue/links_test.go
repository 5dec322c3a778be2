package natsqueue

import (
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/links"
)

func openLinks(t *testing.T, url string) *Links {
	t.Helper()
	l, err := OpenLinks(Config{NATS: url}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// Instances get the links that another one has put, the newest of an id, also from a server that has restarted.
func TestLinksAreShared(t *testing.T) {
	dir := t.TempDir()
	s := oneServer(t, dir, -1)
	url, port := s.ClientURL(), s.Addr().(*net.TCPAddr).Port
	a, b := openLinks(t, url), openLinks(t, url)
	if got, err := b.Get(t.Context(), "ab"); !errors.Is(err, links.ErrUnknown) {
		t.Errorf("nothing was put: %q, %v", got, err)
	}
	for _, want := range []string{"first", "second"} {
		for _, id := range []string{"ab", "cd"} {
			if err := a.Put(t.Context(), id, []byte(want+id)); err != nil {
				t.Fatal(err)
			}
			if got, err := b.Get(t.Context(), id); string(got) != want+id || err != nil {
				t.Errorf("%s: %q, %v", id, got, err)
			}
		}
	}
	s.Shutdown()
	s.WaitForShutdown()
	if _, err := b.Get(t.Context(), "ab"); err == nil || errors.Is(err, links.ErrUnknown) {
		t.Errorf("without a server: %v, which says that there is no link", err)
	}
	oneServer(t, dir, port)
	var got []byte
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if got, err = b.Get(t.Context(), "ab"); err == nil { // the clients reconnect by themselves
			break
		}
	}
	if string(got) != "secondab" || err != nil {
		t.Errorf("after a restart: %q, %v", got, err)
	}
}
