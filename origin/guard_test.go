package origin

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

func TestGuard(t *testing.T) {
	g, err := newGuard([]string{"10.1.0.0/16", "64:ff9b::/96", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		address string
		ok      bool
	}{
		{"8.8.8.8", true}, {"2001:4860:4860::8888", true}, {"::ffff:8.8.8.8", true},
		{"100.63.255.255", true}, {"100.64.0.0", false}, {"100.127.255.255", false}, {"100.128.0.0", true},
		{"127.0.0.1", false}, {"127.255.255.254", false}, {"0.0.0.0", false}, {"255.255.255.255", false}, {"224.0.0.1", false},
		{"10.0.0.1", false}, {"10.1.0.1", true}, {"::ffff:10.1.0.1", true}, {"::ffff:10.0.0.1", false},
		{"169.254.169.254", false}, {"192.0.0.1", false}, {"198.18.0.1", false}, {"240.0.0.1", false},
		{"::", false}, {"::1", false}, {"fe80::1", false}, {"fc00::1", false}, {"fd00::1", true}, {"ff02::1", false}, {"fec0::1", false},
		{"64:ff9b::8.8.8.8", true},                 // NAT64, allowed above, judged by what it leads to.
		{"64:ff9b::127.0.0.1", false},              //
		{"64:ff9b:1::127.0.0.1", false},            // local NAT64
		{"2002:7f00:1::1", false},                  // 6to4
		{"2001:0:1::80ff:fffe", false},             // Teredo
		{"::127.0.0.1", false},                     // compatible
		{"::ffff:0:127.0.0.1", false},              // SIIT
		{"2a00:1450:4001:81b:0:5efe:a00:1", false}, // ISATAP of 10.0.0.1
		{"2a00:1450:4001:81b:200:5efe:7f00:1", false},
		{"2a00:1450:4001:81b:0:5efe:808:808", true},
		{"2001:db8::1", false}, {"3fff::1", false},
	}
	for _, tt := range tests {
		if err := g.check(netip.MustParseAddr(tt.address)); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want allowed %v", tt.address, err, tt.ok)
		} else if err != nil && !errors.Is(err, errBlocked) {
			t.Errorf("%s: %v is not marked", tt.address, err)
		}
	}
	for network, address := range map[string]string{"udp4": "8.8.8.8:80", "unix": "/run/x", "tcp4": "nonsense"} {
		if g.control(network, address, nil) == nil {
			t.Errorf("%s %s passes", network, address)
		}
	}
}

// TestGuardVectors asks for every spelling of the corpus, once with each resolver: which one runs is decided at start,
// so each gets a process of its own.
func TestGuardVectors(t *testing.T) {
	vectors(t, "ssrf.tsv")
	for _, mode := range []string{"go", "cgo"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestGuardVectorsInside$", "-test.v")
		cmd.Env = append(os.Environ(), "GODEBUG=netdns="+mode, "GOLDCREST_VECTORS=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestGuardVectorsInside") {
			t.Errorf("netdns=%s: %v\n%s", mode, err, out)
		}
	}
}

func TestGuardVectorsInside(t *testing.T) {
	if os.Getenv("GOLDCREST_VECTORS") == "" {
		t.Skip("runs inside TestGuardVectors")
	}
	// The trap listens on every address of this machine, so that any spelling that gets through reaches it.
	var trapped atomic.Int64
	trap, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := trap.Accept()
			if err != nil {
				return
			}
			trapped.Add(1)
			_ = conn.Close()
		}
	}()
	defer trap.Close()
	_, port, _ := net.SplitHostPort(trap.Addr().String())

	// 127.0.0.2 plays the public address.
	var public *http.Server
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	public = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := "http://127.0.0.1:" + port + "/canary"
		if r.URL.Path == "/loop" {
			target = "/loop"
		}
		http.Redirect(w, r, target, http.StatusFound)
	})}
	go func() { _ = public.Serve(listener) }()
	defer public.Close()
	base := "http://" + listener.Addr().String()

	c := newClient(t, Hooks{}, func(cfg *Config) { cfg.AllowPrivate = []string{"127.0.0.2/32"} })
	for _, row := range vectors(t, "ssrf.tsv") {
		source := row["url"]
		if row["verdict"] != "refuse" {
			wantKind(t, c.Allowed(source), "") // Not asked for: that would leave this machine.
			continue
		}
		switch row["id"] {
		case "f31":
			source = base + "/out"
		case "f32":
			source = base + "/loop"
		default:
			source = withPort(source, port)
		}
		_, err := get(t, c, source)
		switch kind := fault.KindOf(err); kind {
		case fault.AddressBlocked, fault.BadSource:
		case fault.TooManyRedirects:
			if row["id"] != "f32" {
				t.Errorf("%s: %v", row["id"], err)
			}
		default:
			t.Errorf("%s %s: fault = %q (%v)", row["id"], source, kind, err)
		}
	}
	if n := trapped.Load(); n != 0 {
		t.Errorf("%d connections to the trap", n)
	}
}

// withPort puts a port behind the host of an http URL that has none.
func withPort(source, port string) string {
	rest, ok := strings.CutPrefix(source, "http://")
	if !ok {
		return source
	}
	host, path, _ := strings.Cut(rest, "/")
	if host == "" {
		return source
	}
	return "http://" + host + ":" + port + "/" + path
}
