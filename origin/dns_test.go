package origin

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/goldcrest/goldcrest/fault"
)

// serveNames starts a name server. answer gives the IPv4 addresses of a name at its nth question for it, counted from
// 1; none means that the name does not exist, silent that nothing is said.
func serveNames(t *testing.T, answer func(name string, n int) (addresses []string, silent bool)) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		asked := map[string]int{}
		packet := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(packet[:size]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			reply := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true}, Questions: m.Questions}
			name := strings.TrimSuffix(q.Name.String(), ".")
			if q.Type == dnsmessage.TypeA {
				asked[name]++
			}
			addresses, silent := answer(name, max(asked[name], 1))
			if silent {
				continue
			}
			if addresses == nil {
				reply.RCode = dnsmessage.RCodeNameError
			}
			for _, a := range addresses {
				if q.Type == dnsmessage.TypeA {
					header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
					reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: [4]byte(net.ParseIP(a).To4())}})
				}
			}
			if out, err := reply.Pack(); err == nil {
				_, _ = conn.WriteTo(out, from)
			}
		}
	})
	var mu sync.Mutex
	var asking []net.Conn // A look-up that nobody waits for any more goes on until its own timeout: closing these ends it.
	t.Cleanup(func() {
		_ = conn.Close()
		done.Wait()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range asking {
			_ = c.Close()
		}
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var d net.Dialer
		c, err := d.DialContext(ctx, "udp", conn.LocalAddr().String())
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			asking = append(asking, c)
		}
		return c, err
	}}
}

func TestFault10Rebinding(t *testing.T) {
	trap, trapped := serve(t, send(smallPNG(t)))
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(trap, "http://"))
	// 127.0.0.2 plays the public address; it listens on the trap's port, so that only the address tells them apart.
	listener, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Skipf("no second loopback address: %v", err)
	}
	public := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		_, _ = w.Write(smallPNG(t))
	}))
	_ = public.Listener.Close()
	public.Listener = listener
	public.Start()
	defer public.Close()
	resolver := serveNames(t, func(name string, n int) ([]string, bool) {
		switch {
		case name == "rebind.example" && n > 1:
			return []string{"127.0.0.1"}, false
		case name == "both.example":
			return []string{"127.0.0.1", "127.0.0.2"}, false
		case name == "metadata.example":
			return []string{"169.254.169.254"}, false
		}
		return []string{"127.0.0.2"}, false
	})
	c := newClient(t, Hooks{Resolver: resolver}, func(cfg *Config) { cfg.AllowPrivate = []string{"127.0.0.2/32"} })
	for i, tt := range []struct {
		host string
		want fault.Kind
	}{
		{"rebind.example", ""},
		{"rebind.example", fault.AddressBlocked},
		{"both.example", ""}, // The public address of several is good; the other is never connected to.
		{"metadata.example", fault.AddressBlocked},
	} {
		_, err := get(t, c, fmt.Sprintf("http://%s:%s/%d", tt.host, port, i))
		wantKind(t, err, tt.want)
		if err != nil && strings.Contains(fault.Of(err).Public, "127.0.0.1") {
			t.Errorf("the public text names an address: %v", err)
		}
	}
	if trapped.Load() != 0 {
		t.Errorf("%d requests reached the trap", trapped.Load())
	}
}

func TestFault31NameServer(t *testing.T) {
	resolver := serveNames(t, func(name string, _ int) ([]string, bool) { return nil, name == "slow.example" })
	c := newClient(t, Hooks{Resolver: resolver}, func(cfg *Config) { cfg.Timeout = time.Second })
	_, err := get(t, c, "http://absent.example/x")
	wantKind(t, err, fault.DNSFailed)
	_, err = get(t, c, "http://slow.example/x")
	wantKind(t, err, fault.SourceTimeout)
}

func TestUnreachableOrigins(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	_ = listener.Close()
	plain, _ := serve(t, send(smallPNG(t)))
	secure := httptest.NewUnstartedServer(send(smallPNG(t)))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	for source, want := range map[string]fault.Kind{
		"http://" + closed: fault.ConnectFailed,
		secure.URL:         fault.TLSFailed, // signed by nobody we trust
		"https://" + strings.TrimPrefix(plain, "http://"): fault.TLSFailed,
	} {
		_, err := get(t, newClient(t, Hooks{}, nil), source+"/?secret")
		wantKind(t, err, want)
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error holds the query: %v", err)
		}
	}
}

func TestReloadWhileFetching(t *testing.T) {
	base, _ := serve(t, send(smallPNG(t)))
	c := newClient(t, Hooks{}, nil)
	cfg := c.settings.Load().cfg
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 20 {
				if i == 0 {
					cfg.PerHost = 1 + n%3
					if err := c.Reload(cfg); err != nil {
						t.Error(err)
					}
					continue
				}
				if _, err := get(t, c, fmt.Sprintf("%s/%d/%d", base, i, n)); err != nil {
					t.Errorf("a reload failed a fetch: %v", err)
				}
			}
		})
	}
	all.Wait()
}
