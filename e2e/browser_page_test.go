package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// emulateNetwork throttles a tab like a phone's network.
var emulateNetwork = cdp.Command[map[string]any, cdp.Empty]{Method: "Network.emulateNetworkConditions"}

// loads is the cost of a tab's pictures.
type loads struct {
	mu    sync.Mutex
	types map[network.RequestID]string
	bytes float64
	kinds map[string]int
}

func (l *loads) heard(event any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e := event.(type) {
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeImage {
			l.types[e.RequestID] = e.Response.MimeType
		}
	case *network.EventLoadingFinished:
		if kind, ok := l.types[e.RequestID]; ok {
			l.bytes += e.EncodedDataLength
			l.kinds[kind]++
		}
	}
}

// visit is one load of a page: the bytes of its pictures, their types, and the milliseconds until it was complete.
type visit struct {
	bytes float64
	kinds map[string]int
	ms    float64
}

// load reloads a page without the browser's cache, and waits until it is complete.
func (b *browser) load(l *loads, url string) visit {
	b.t.Helper()
	l.mu.Lock()
	l.types, l.kinds, l.bytes = map[network.RequestID]string{}, map[string]int{}, 0
	l.mu.Unlock()
	b.run(chromedp.Navigate(url))
	b.wait("the whole page", `performance.getEntriesByType("navigation")[0]?.loadEventEnd > 0`)
	ms := eval[float64](b, `performance.getEntriesByType("navigation")[0].loadEventEnd`)
	if n := eval[int](b, `[...document.images].filter((i) => i.naturalWidth > 0).length`); n != pagePictures {
		b.t.Errorf("%s: %d pictures are shown, want %d", url, n, pagePictures)
	}
	var v visit
	eventually(b.t, "the last picture's bytes", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		n := 0
		for _, k := range l.kinds {
			n += k
		}
		v = visit{l.bytes, l.kinds, ms}
		return n == pagePictures
	})
	return v
}

const pagePictures = 40

// page scripts a page of pictures at path.
func (o *origin) page(path string, src func(i int) string) string {
	var html strings.Builder
	html.WriteString(`<!doctype html><title>pictures</title><link rel="icon" href="data:,">`)
	for i := range pagePictures {
		fmt.Fprintf(&html, `<img src="%s" width="400" alt="">`, src(i))
	}
	o.on(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte(html.String()))
	})
	return o.URL + path
}

// pageOrigin is an origin of forty pictures: photos if there is a corpus, else drawn ones.
func pageOrigin(t *testing.T) (o *origin, url func(i int) string) {
	dir := os.Getenv("GOLDCREST_CORPUS")
	if _, err := os.Stat(filepath.Join(dir, "photos")); dir == "" || err != nil {
		o = drawn(t, pagePictures, 1200, 800)
		return o, func(i int) string { return fmt.Sprintf("%s/drawn/%d.jpg", o.URL, i) }
	}
	photos := []string{"groceries.jpg", "truck-street.jpg", "kimono-drawing.jpg", "exif-portrait-1.jpg", "flower-grey.jpg"}
	o = startOrigin(t)
	return o, func(i int) string { return fmt.Sprintf("%s/alias/%d/%s", o.URL, i, photos[i%len(photos)]) }
}

// A page of pictures over a phone's network: through the proxy it takes a fraction of the bytes and of the time, in the
// format that the browser accepts.
func TestPageOverPhoneNetwork(t *testing.T) {
	o, picture := pageOrigin(t)
	s := start(t)
	b := openBrowser(t)
	l := &loads{}
	if err := chromedp.Listen(b.ctx, l.heard); err != nil {
		t.Fatal(err)
	}
	originals := o.page("/originals", picture)
	proxied := o.page("/proxied", func(i int) string { return s.public + signed("rs:fit:400:0", picture(i)) })
	slow := o.page("/slow", func(i int) string { return s.public + signed("rs:fit:400:0/net:2g", picture(i)) })
	command(b, network.Enable, network.EnableParams{})
	command(b, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
	command(b, emulateNetwork, map[string]any{"offline": false, "latency": 100, "downloadThroughput": 4e6 / 8, "uploadThroughput": 1e6 / 8}) // 4 Mbit/s, 100 ms.

	before := b.load(l, originals)
	fetched := o.total()
	cold := b.load(l, proxied)
	if got := o.total() - fetched - 1; got != pagePictures {
		t.Errorf("%d originals were fetched, want %d", got, pagePictures)
	}
	warm := b.load(l, proxied)
	lite := b.load(l, slow)
	command(b, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept": "image/webp,*/*"}})
	webp := b.load(l, proxied)
	for _, x := range []struct {
		name string
		v    visit
		kind string
	}{{"originals", before, "image/jpeg"}, {"proxy, first visit", cold, "image/avif"}, {"proxy, again", warm, "image/avif"}, {"proxy, net:2g", lite, "image/avif"}, {"proxy, WebP client", webp, "image/webp"}} {
		t.Logf("%-20s %6.0f kB %6.0f ms  %v", x.name, x.v.bytes/1000, x.v.ms, x.v.kinds)
		if x.v.kinds[x.kind] != pagePictures {
			t.Errorf("%s: the formats are %v, want %s alone", x.name, x.v.kinds, x.kind)
		}
	}
	if warm.bytes > before.bytes/5 || webp.bytes > before.bytes/5 {
		t.Errorf("the page takes %.0f and %.0f bytes of %.0f, want at most a fifth", warm.bytes, webp.bytes, before.bytes)
	}
	if lite.bytes >= warm.bytes {
		t.Errorf("net:2g takes %.0f bytes, 4g %.0f", lite.bytes, warm.bytes)
	}
	if warm.ms > before.ms/2 {
		t.Errorf("the page takes %.0f ms of %.0f, want at most half", warm.ms, before.ms)
	}
	if hits := s.metric("goldcrest_requests_total", `outcome="hit"`); hits < pagePictures {
		t.Errorf("%v hits", hits)
	}
}
