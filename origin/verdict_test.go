package origin

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// TestAnswersAboutOneFileNeverCloseAHost asks one host for many files that it answers in one way, and then for a good
// one.
func TestAnswersAboutOneFileNeverCloseAHost(t *testing.T) {
	png := smallPNG(t)
	dead := httptest.NewServer(nil)
	dead.Close()
	failing, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	busy, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	broken := zipped(t, png)
	broken[len(broken)-6] ^= 1 // its checksum
	body := func(b []byte, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			_, _ = w.Write(b)
		}
	}
	answers := map[string]http.HandlerFunc{
		"a page": body([]byte("<html>")), "nothing": body(nil), "half a picture": body(png[:len(png)/2]),
		"a Photoshop file": body([]byte("8BPS\x00\x01")),
		"too much":         body(make([]byte, 2<<20)), "a coding": body([]byte("\x0b\x02\x80"), "Content-Encoding", "br"),
		"broken gzip": body(broken, "Content-Encoding", "gzip"),
	}
	for status := 201; status < 500; status++ {
		if http.StatusText(status) == "" || status == 408 || status == 425 || status == 429 {
			continue // Those three speak of the host.
		}
		answers[fmt.Sprint(status)] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	for _, to := range []string{
		"/loop", "http://[bad/", "ftp://127.0.0.1/", "http://169.254.169.254/", "http://x:y@127.0.0.1/", dead.URL, failing, busy,
	} {
		answers["redirect to "+to] = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
		}
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/good" {
					_, _ = w.Write(png)
					return
				}
				answer(w, r)
			})
			c := newClient(t, Hooks{}, func(cfg *Config) { cfg.MaxBytes = 1 << 20 })
			for i := range 2 * breakerRun {
				if _, err := get(t, c, fmt.Sprintf("%s/bad/%d", base, i)); err == nil && name != "203" {
					t.Fatal("it was taken for a picture")
				} else if fault.KindOf(err) == fault.OriginCircuitOpen && !strings.Contains(name, "redirect") {
					t.Fatalf("the host was shut after %d answers", i)
				}
			}
			_, err := get(t, c, base+"/good")
			wantKind(t, err, "")
		})
	}
}

// TestRedirectsHaveCircuitsOfTheirOwn fails behind a redirect: the host that fails is given a rest, not the one that
// redirects.
func TestRedirectsHaveCircuitsOfTheirOwn(t *testing.T) {
	png := smallPNG(t)
	var healthy atomic.Bool
	there, hits := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if !healthy.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = w.Write(png)
	})
	here, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/good" {
			_, _ = w.Write(png)
			return
		}
		http.Redirect(w, r, there+r.URL.Path, http.StatusFound)
	})
	watch := newClock()
	c := newClient(t, Hooks{Now: watch.now}, nil)
	for i := range 4 * breakerRun {
		_, err := get(t, c, fmt.Sprintf("%s/%d", here, i))
		want := fault.SourceError
		if i >= breakerRun {
			want = fault.OriginCircuitOpen
		}
		wantKind(t, err, want)
	}
	if hits.Load() != breakerRun {
		t.Errorf("the failing host was asked %d times, want %d", hits.Load(), breakerRun)
	}
	_, err := get(t, c, here+"/good")
	wantKind(t, err, "")
	_, err = get(t, c, there+"/direct")
	wantKind(t, err, fault.OriginCircuitOpen)

	healthy.Store(true)
	watch.move(firstPause)
	_, err = get(t, c, here+"/probe")
	wantKind(t, err, "")
	_, err = get(t, c, there+"/direct")
	wantKind(t, err, "")
	if known := len(c.settings.Load().hosts.known); known != 0 {
		t.Errorf("%d hosts are remembered, want none", known)
	}
}

// TestLocationsAreEscapedAsSourcesAre redirects to what origins leave bare, and looks at the request line that comes of
// it.
func TestLocationsAreEscapedAsSourcesAre(t *testing.T) {
	png := smallPNG(t)
	var location, line string
	base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/dir/start" {
			// Not through Header: net/http replaces what it would not send itself.
			conn, buffer, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprintf(buffer, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", location)
			_, _ = buffer.Flush(), conn.Close()
			return
		}
		line = r.RequestURI
		_, _ = w.Write(png)
	})
	for to, want := range map[string]string{
		"/100%.png":                         "/100%25.png",
		"/50%2F.png":                        "/50%2F.png",
		"/a%2Fb|c%zz.png":                   "/a%2Fb%7Cc%25zz.png",
		"two words.png":                     "/dir/two%20words.png",
		"100%/x.png":                        "/dir/100%25/x.png",
		"a//b%.png":                         "/dir/a//b%25.png",
		"/größe.png":                        "/gr%C3%B6%C3%9Fe.png",
		"/gr\xf6\xdfe.png":                  "/gr%F6%DFe.png",
		base + "/a b%.png?q=50%&r=ö ü#100%": "/a%20b%25.png?q=50%&r=%C3%B6%20%C3%BC",
		strings.TrimPrefix(base, "http:") + "/c%": "/c%25",
		"query?only=50%": "/dir/query?only=50%",
		"/x.png#50%":     "/x.png",
		"/t\tab.png":     "/tab.png",
		"/{a}^`.png":     "/%7Ba%7D%5E%60.png",
	} {
		location, line = to, ""
		o, err := get(t, newClient(t, Hooks{}, nil), base+"/dir/start")
		wantKind(t, err, "")
		if line != want || !bytes.Equal(o.Body, png) {
			t.Errorf("Location %q: asked for %q, want %q", to, line, want)
		}
	}
}

// panicking panics at the first event of a name.
type panicking struct{ event string }

func (p panicking) Fetched(fault.Kind, time.Duration, int64) {}

func (p panicking) Noted(event string) {
	if event == p.event {
		panic("boom")
	}
}

// TestPanicsLoseNeitherSlotsNorMemory panics in the middle of a fetch, also behind a redirect.
func TestPanicsLoseNeitherSlotsNorMemory(t *testing.T) {
	png := smallPNG(t)
	there, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(png)
	})
	here, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, there, http.StatusFound) })
	for _, event := range []string{"redirect", "gzip"} {
		c := newClient(t, Hooks{Observer: panicking{event}}, nil)
		slots := 0
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: nothing panicked", event)
				}
			}()
			_, _ = c.Fetch(context.Background(), here, Limits{Admit: func(context.Context) (func(), error) {
				slots++
				return func() { slots-- }, nil
			}})
		}()
		s := c.settings.Load()
		if slots != 0 || len(s.hosts.known) != 0 || s.memory.used != 0 {
			t.Errorf("%s: %d slots and %d hosts are held, and %d bytes", event, slots, len(s.hosts.known), s.memory.used)
		}
	}
}
