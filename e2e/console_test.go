package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

const narrowToken = "e2e-narrow-token-0001"

// landscape draws hills under a sun, each n another: pictures of our own with shades, edges and a little grain.
func landscape(w, h, n int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	hue := float64(n) * 0.37
	tint := func(v, shift float64) float64 { return v * (0.75 + 0.25*math.Sin(hue+shift)) }
	seed := uint32(n + 1)
	for y := range h {
		for x := range w {
			fx, fy := float64(x)/float64(w), float64(y)/float64(h)
			r, g, b := tint(250-90*fy, 0), tint(215-60*fy, 1), tint(170+60*fy, 2)
			if d := math.Hypot(fx-0.2-0.06*float64(n%10), (fy-0.28)*float64(h)/float64(w)); d < 0.07 {
				r, g, b = 255, 244, 214
			}
			for layer := range 5 {
				l := float64(layer)
				ridge := 0.42 + 0.12*l + 0.06*math.Sin(fx*(5+2*l)+hue*(l+1)) + 0.02*math.Sin(fx*31+l*7+hue)
				if fy > ridge {
					dark := 1 - 0.16*l
					r, g, b = tint(120, 0.4)*dark, tint(140, 1.6)*dark, tint(128, 2.6)*dark
				}
			}
			seed = seed*1664525 + 1013904223
			grain := float64(seed>>29) - 3.5
			img.SetRGBA(x, y, color.RGBA{clamp(r + grain), clamp(g + grain), clamp(b + grain), 255})
		}
	}
	var out bytes.Buffer
	jpeg.Encode(&out, img, &jpeg.Options{Quality: 92}) // Into memory: it cannot fail.
	return out.Bytes()
}

func clamp(v float64) uint8 { return uint8(max(0, min(255, v))) }

// drawn is an origin of drawn pictures at /drawn/N.jpg.
func drawn(t *testing.T, n, w, h int) *origin {
	o := startOrigin(t)
	for i := range n {
		body := landscape(w, h, i)
		o.on(fmt.Sprintf("/drawn/%d.jpg", i), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/jpeg")
			w.Write(body)
		})
	}
	return o
}

// consoleEnv is a server with an operator's token and one that may do little.
var consoleEnv = []string{
	"GOLDCREST_API_TOKENS=[{name: operator, token: " + backendToken + ", scopes: [prewarm, check, sign, explain, purge, admin]}, {name: narrow, token: " + narrowToken + ", scopes: [check]}]",
	`GOLDCREST_PRESETS={lite: "rs:fit:320:0/net:2g", std: "rs:fit:640:0"}`,
	"GOLDCREST_PREWARM_PRESETS=[lite, std]", "GOLDCREST_PREWARM_FORMATS=[webp, jpeg]", "GOLDCREST_PREWARM_RETRY=[100ms]",
}

// enter logs in as a person does.
func (b *browser) enter(s *server, token string) {
	b.t.Helper()
	b.run(chromedp.Navigate(s.admin + "/console/"))
	b.fill("API token", token)
	b.press("Log in")
}

// go to a page by its link.
func (b *browser) visit(name string) {
	b.t.Helper()
	b.press(name)
	b.wait("the page "+name, fmt.Sprintf(`document.querySelector("h1")?.innerText.startsWith(%q)`, name))
}

// drawnUnits are Data Units about pictures of an origin.
func drawnUnits(o *origin, paths ...string) string {
	var lines []string
	for i, p := range paths {
		lines = append(lines, fmt.Sprintf(`{"id":"unit-%d","title":"Drawn","photo":"%s%s"}`, i, o.URL, p))
	}
	return strings.Join(lines, "\n")
}

// The console is used page by page as a person would, in a real browser, and looks right in every size and light.
func TestConsole(t *testing.T) {
	o := drawn(t, 8, 1200, 800)
	s := start(t, consoleEnv...)
	b := openBrowser(t)
	b.dress("light", 1280, 800)
	b.run(chromedp.Navigate(s.admin + "/console/"))
	b.wait("the way in", `location.pathname === "/console/login"`)
	b.picture("login")
	b.fill("API token", "not-a-token-of-this-server")
	b.press("Log in")
	b.see("No API token of this server reads like that")
	b.takeTroubles() // Chromium writes every 401 there.
	b.shot("login-refused")
	b.enter(s, backendToken)
	b.see("Requests by outcome")
	b.see("Nothing has been asked for yet")
	b.picture("overview-empty")
	t.Run("jobs", func(t *testing.T) { consoleJobs(b.in(t), s, o) })
	t.Run("broken", func(t *testing.T) { consoleBroken(b.in(t), o) })
	t.Run("playground", func(t *testing.T) { consolePlayground(b.in(t), s, o) })
	t.Run("config", func(t *testing.T) { consoleConfig(b.in(t)) })
	t.Run("overview", func(t *testing.T) { consoleOverview(b.in(t), s, o) })
	t.Run("keyboard", func(t *testing.T) { consoleKeyboard(b.in(t)) })
	t.Run("scopes", func(t *testing.T) { consoleScopes(b.in(t), s) })
}

// in is the tab as a subtest has it.
func (b *browser) in(t *testing.T) *browser {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.t = t
	return b
}

func consoleJobs(b *browser, s *server, o *origin) {
	b.visit("Jobs")
	b.see("No jobs yet")
	b.picture("jobs-empty")
	b.fill("Data Units", "{\"id\": 1,\n\"photo\"")
	b.press("Start the job")
	b.see("This is no JSON")
	b.takeTroubles()
	paths := []string{"/drawn/0.jpg", "/drawn/1.jpg", "/drawn/2.jpg", "/drawn/3.jpg", "/missing/a.jpg"}
	b.fill("Data Units", drawnUnits(o, paths...))
	b.fill("Tag", "spring")
	b.press("Start the job")
	b.wait("the job's end", `document.querySelector("h1 + .pill, .head .pill")?.innerText === "partial"`)
	b.see("20 of 20 variants")
	b.wait("a row for each image, the broken one first", `document.querySelectorAll("tbody tr").length === 5 && document.querySelector("tbody tr").innerText.includes("/missing/a.jpg")`)
	b.wait("its variants", `document.querySelectorAll("tbody li").length === 20`)
	b.wait("the pictures of the others, as they are stored", `[...document.querySelectorAll("tbody img")].filter((i) => i.scrollIntoView() || i.complete && i.naturalWidth > 0).length === 4`)
	link := eval[string](b, `document.querySelector("tbody tr:last-child li a").href`)
	if a, err := request("GET", strings.Replace(link, "http://localhost:8080", s.public, 1)); err != nil || a.StatusCode != 200 || !strings.HasPrefix(a.Header.Get("X-Cache"), "hit") && a.Header.Get("Cache-Status") == "" {
		b.t.Errorf("the link of a variant %s: %v %+v", link, err, a.Response)
	}
	b.choose("State", "Broken")
	b.see("The origin has no such file")
	b.wait("the broken image alone", `document.querySelectorAll("tbody tr").length === 1 && document.querySelectorAll("tbody li").length === 4`)
	b.fill("Find", "nothing like that")
	b.see("No such verdict")
	b.fill("Find", "missing")
	b.choose("State", "All")
	b.fill("Find", "")
	b.wait("all images with their pictures", `document.querySelectorAll("tbody tr").length === 5 && document.querySelectorAll("tbody img").length === 4`)
	b.picture("job")
	b.see("Retry broken and failed")

	// A mended source is retried.
	body := landscape(640, 480, 9)
	o.on("/missing/a.jpg", func(w http.ResponseWriter, _ *http.Request) { w.Write(body) })
	b.press("Retry broken and failed")
	b.wait("the job done", `document.querySelector(".head .pill")?.innerText === "done"`)

	// Another comes from a file, and is cancelled while its origin makes it wait.
	gate, slowly := make(chan struct{}), landscape(64, 48, 1)
	for i := range 4 {
		o.on(fmt.Sprintf("/slow/%d.jpg", i), func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-gate:
				w.Write(slowly)
			case <-r.Context().Done():
			}
		})
	}
	file := filepath.Join(b.t.TempDir(), "units.jsonl")
	var slow []string
	for i := range 400 {
		slow = append(slow, fmt.Sprintf("/slow/%d.jpg?n=%d", i%4, i))
	}
	if err := os.WriteFile(file, []byte(drawnUnits(o, slow...)), 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.visit("Jobs")
	b.press("Start a job")
	b.run(chromedp.SetUploadFiles(chromedp.CSS(`input[type=file]`), []string{file}, chromedp.NodeReady))
	b.see("units.jsonl")
	b.press("Start the job")
	b.wait("the job at work", `document.querySelector(".head .pill")?.innerText === "running"`)
	b.press("Cancel")
	b.press("Really cancel?")
	close(gate)
	b.wait("the job cancelled", `document.querySelector(".head .pill")?.innerText === "cancelled"`)
	b.press("← All jobs")
	b.wait("both jobs", `document.querySelectorAll("tbody tr").length === 2`)
	b.see("spring")
	b.picture("jobs")
	b.holds("a.mono", s, func() { // A third job comes while the first's link has the focus.
		s.prewarm("", `{"id": "no-image", "title": "Nothing to see"}`)
		b.wait("the third job", `document.querySelectorAll("tbody tr").length === 3`)
	})
	b.see("no images")
	b.press(eval[string](b, `document.querySelector("tbody tr a").innerText`))
	b.see("No image was found in 1 Data Unit")
	b.picture("job-without-images")
	consoleUnreadable(b)
}

// holds checks that a page's update leaves the focus, and the text that a person has selected, where they are.
func (b *browser) holds(selector string, s *server, update func()) {
	b.t.Helper()
	eval[bool](b, fmt.Sprintf(`(() => {
		const e = document.querySelector("tbody " + %q), r = document.createRange();
		window.held = e;
		e.focus();
		r.selectNodeContents(e);
		getSelection().removeAllRanges();
		getSelection().addRange(r);
		return true;
	})()`, selector))
	update()
	if got := eval[string](b, `[held.isConnected, document.activeElement === held, getSelection().toString() === held.innerText].join(" ")`); got != "true true true" {
		b.t.Errorf("after an update: there, focused, selected: %s", got)
	}
}

// consoleUnreadable posts batches of which a line cannot be read: pasted, and in a packed file, which the page does not look into.
func consoleUnreadable(b *browser) {
	b.visit("Jobs")
	b.press("Start a job")
	b.fill("Data Units", "{\"id\": \"a\"}\n{\"id\": \"b\"\n{\"id\": \"c\"}")
	b.press("Start the job")
	b.see("Line 2:")
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	fmt.Fprint(w, "{\"id\": \"a\"}\n{\"id\": \"b\"\n{\"id\": \"c\"}\n")
	w.Close()
	file := filepath.Join(b.t.TempDir(), "units.jsonl.gz")
	if err := os.WriteFile(file, packed.Bytes(), 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.run(chromedp.SetUploadFiles(chromedp.CSS(`input[type=file]`), []string{file}, chromedp.NodeReady))
	b.see("units.jsonl.gz")
	b.press("Start the job")
	b.see("1 Data Unit could not be read; the others were taken")
	b.see("in line 2")
	b.picture("job-unreadable-line")
}

func consoleBroken(b *browser, o *origin) {
	for path, body := range map[string]string{"/broken/page.jpg": "<!doctype html><p>Sign in", "/broken/cut.jpg": string(landscape(300, 200, 3)[:4000])} {
		o.on(path, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) })
	}
	b.visit("Jobs")
	b.press("Start a job")
	b.fill("Data Units", fmt.Sprintf(`{"urls": ["%[1]s/broken/page.jpg", "%[1]s/broken/cut.jpg", "%[1]s/gone/b.jpg", "http://nowhere.invalid/c.jpg"]}`, o.URL))
	b.press("Start the job")
	b.wait("the job's end", `document.querySelector(".head .pill")?.innerText === "failed"`)
	b.visit("Broken")
	b.see("The file ends in the middle")
	b.see("It is no image, whatever its name says")
	b.choose("Reason", "The file ends in the middle")
	b.wait("one row", `document.querySelectorAll("tbody tr").length === 1`)
	b.choose("Reason", "Any reason")
	b.wait("all rows", `document.querySelectorAll("tbody tr").length === 4`)
	b.picture("broken")
	b.holds("button", nil, func() {
		eval[bool](b, `(() => { const s = [...document.querySelectorAll("select")][0]; s.dispatchEvent(new Event("change", {bubbles: true})); return true; })()`)
		b.wait("the list read anew", `performance.getEntriesByType("resource").filter((r) => r.name.includes("/v1/broken")).length > 1`)
	})
	mended := landscape(300, 200, 3)
	o.on("/broken/cut.jpg", func(w http.ResponseWriter, _ *http.Request) { w.Write(mended) })
	before := o.count("/broken/cut.jpg")
	b.press("Retry " + o.URL + "/broken/cut.jpg")
	b.wait("the row gone", `document.querySelectorAll("tbody tr").length === 3`)
	if got := o.count("/broken/cut.jpg") - before; got != 1 {
		b.t.Errorf("the retry fetched %d times, want 1", got)
	}
}

func consolePlayground(b *browser, s *server, o *origin) {
	b.visit("Playground")
	b.picture("playground-empty")
	b.fill("Source", o.URL+"/drawn/5.jpg")
	b.fill("Width", "720")
	b.choose("Format", "WebP")
	b.see("rs:fit:720:0/f:webp")
	b.press("Make it")
	b.see("How it came about")
	b.wait("both pictures", `[...document.querySelectorAll(".compare img")].length === 2 && [...document.querySelectorAll(".compare img")].every((i) => i.complete && i.naturalWidth === 720)`)
	url := eval[string](b, `document.querySelector('[aria-label="Signed URL"]').value`)
	a, err := request("GET", strings.Replace(url, "http://localhost:8080", s.public, 1), "Accept", chrome)
	if err != nil || a.StatusCode != 200 || a.Header.Get("Content-Type") != "image/webp" {
		b.t.Errorf("the signed URL %s: %v %+v", url, err, a.Response)
	}
	if got := b.text(".facts"); !strings.Contains(got, "webp") || !strings.Contains(got, "720 × 480") {
		b.t.Errorf("the facts are %q", got)
	}
	eval[bool](b, `(() => { const s = document.querySelector(".compare + input"); s.value = "30"; s.dispatchEvent(new Event("input", {bubbles: true})); return true; })()`)
	b.wait("the divider moved", `document.querySelector(".divider").style.left === "30%"`)
	b.picture("playground")
	b.choose("Format", "Negotiated")
	b.press("Compare net classes")
	b.wait("four pictures", `[...document.querySelectorAll(".classes img")].filter((i) => i.complete && i.naturalWidth > 0).length === 4`)
	b.picture("playground-classes")
	b.fill("Source", o.URL+"/pages/x.jpg")
	b.press("Make it")
	b.see("It is no image, whatever its name says")
	b.shot("playground-refused")
	b.fill("Source", "https://images.example/<img src=x onerror=alert(1)>.jpg")
	b.press("Make it")
	b.wait("a refusal", `document.querySelector(".alert") && !document.querySelector(".alert").innerText.includes("no image")`)
	b.takeTroubles()
}

func consoleConfig(b *browser) {
	b.visit("Config")
	b.see("signing:")
	text := b.text(".yaml")
	for _, secret := range []string{backendToken, narrowToken, string(key), "3031323334"} {
		if strings.Contains(text, secret) {
			b.t.Errorf("a secret is shown: %s", secret)
		}
	}
	b.fill("Find", "workers")
	b.wait("found lines", `document.querySelectorAll(".line.hit").length > 0`)
	b.picture("config")
}

// hour is what /v1/history may say after an hour with a flood of new pictures in it.
const hour = `(() => {
	const real = window.fetch, now = Date.now(), samples = [], days = [];
	for (let i = 0; i < 360; i++) {
		const wave = 60 + 25 * Math.sin(i / 40) + 8 * Math.sin(i / 7), flood = i > 200 && i < 250 ? 1 : 0;
		const idle = i > 90 && i < 130 ? 0 : 1;
		samples.push({at: new Date(now - (360 - i) * 1e4).toISOString(), seconds: 10, hits_memory: idle * Math.round(wave * 8), hits_store: idle * Math.round(wave * 1.2), stale: 0, misses: idle * Math.round(wave * (0.3 + flood)), collapsed: 3 * flood, errors: i % 47 ? 0 : 2 * idle, saved_bytes: 1e7, p50_ms: idle * (0.4 + 0.15 * Math.sin(i / 30) + flood), p99_ms: idle * (90 + 30 * Math.sin(i / 25) + 240 * flood)});
	}
	for (let i = 9; i >= 0; i--) days.push({day: new Date(now - i * 864e5).toISOString().slice(0, 10), requests: 1200000 + 90000 * i, served_bytes: 3e10, replaced_bytes: 2e11, saved_bytes: 1.1e11 + 3e10 * Math.sin(i)});
	window.fetch = async (path, opts) => {
		if (path.startsWith("/v1/history")) return new Response(JSON.stringify({samples: path.includes("since") ? [] : samples, days}));
		const res = await real(path, opts);
		if (path !== "/v1/stats") return res;
		const s = await res.json(), n = 1283400 + Math.round((Date.now() - now) * 0.0712);
		Object.assign(s, {version: "v1.0.0", uptime_s: 266400});
		Object.assign(s.totals, {requests: n, hits_memory: Math.round(n * 0.845), hits_store: Math.round(n * 0.127), hits: Math.round(n * 0.972), stale: 0, errors: 412, saved_bytes: 1.16e12, replaced_bytes: 1.31e12, fetches: 35902, fetch_failures: 118, transforms: 35784, data_units: 9480});
		s.errors = [["source_timeout", "images.partner.example", 148, 12, 391], ["source_not_found", "cdn.shop.example", 9, 8, 203], ["bad_signature", "", 1, 0, 17]].map(([code, host, recent, before, total]) => ({code, host, recent, before, total, last: new Date(now - 4e4).toISOString()}));
		Object.assign(s.levels, {memory_entries: 11873, memory_bytes: 2.55e8, workers: 8, workers_busy: 3, prewarm_waiting: 42, prewarm_jobs: 1, prewarm_variants: 318, prewarm_working: 6, negative_entries: 118, fetch_running: 2});
		return new Response(JSON.stringify(s));
	};
	return true;
})()`

func consoleOverview(b *browser, s *server, o *origin) {
	for i := range 8 {
		for range 5 {
			s.get(signed("rs:fit:640:0", fmt.Sprintf("%s/drawn/%d.jpg", o.URL, i)), "Accept", chrome)
		}
	}
	s.get("/nonsense")
	b.visit("Overview")
	var stats struct {
		Totals struct{ Requests, Errors int }
	}
	if err := json.Unmarshal(s.call("GET", "/v1/stats", "").body, &stats); err != nil || stats.Totals.Requests < 40 {
		b.t.Fatalf("%+v %v", stats, err)
	}
	b.see(fmt.Sprintf("%d since the start", stats.Totals.Requests))
	b.wait("the hit ratio", `[...document.querySelectorAll(".tile")].some((t) => /Hit ratio\s+\d/.test(t.innerText))`)
	// A sample is taken every ten seconds: the median shows what the server measured, not what the page made up.
	b.wait("a median", `[...document.querySelectorAll(".tile")].some((t) => /Median answer\s+[\d.]+\s?m?s/.test(t.innerText))`)
	b.wait("four workers' rows", `document.querySelectorAll(".health li").length === 5 && document.querySelectorAll(".health .pill.good").length === 5`)
	b.picture("overview-live")
	b.visit("Config")
	eval[bool](b, hour)
	b.visit("Overview")
	b.wait("a rate", `document.querySelector(".tile") && /Pictures a second\s+[\d.]+/.test(document.querySelector(".tile").innerText)`)
	b.wait("the errors' hosts", `document.querySelector('[aria-label="Errors by code and host"] tbody tr')`)
	b.wait("charts", `document.querySelectorAll(".chart canvas").length === 3 && document.querySelector(".health li")`)
	b.wait("the error that rises, coloured", `[...document.querySelectorAll("tr.rising")].map((r) => r.innerText).join().includes("images.partner.example") && document.querySelectorAll("tr.rising").length === 1`)
	for _, place := range []struct {
		share float64
		says  string
	}{{0.9, "/s"}, {0.3, "no requests"}} { // Nothing was asked for between 25 % and 36 % of the hour.
		at := eval[struct{ X, Y float64 }](b, fmt.Sprintf(`(() => { scrollTo(0, 0); const r = document.querySelector(".chart .u-over").getBoundingClientRect(); return {X: r.x + %v * r.width, Y: r.y + r.height / 2}; })()`, place.share))
		b.run(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at.X, at.Y))
		b.wait("the values under the cursor", fmt.Sprintf(`/\d\d:\d\d:\d\d/.test(document.querySelector(".legend .at").innerText) && document.querySelector(".legend").innerText.includes(%q)`, place.says))
	}
	b.shot("overview-cursor")
	b.picture("overview")
}

// Everything can be reached and used by keys alone.
func consoleKeyboard(b *browser) {
	b.visit("Broken")
	b.run(chromedp.Evaluate[chromedp.Void](`document.activeElement.blur(), scrollTo(0, 0)`), chromedp.KeyEvent("\t"))
	seen := map[string]bool{}
	for range 30 {
		name := eval[string](b, `(() => { const e = document.activeElement; return e.ariaLabel || e.labels?.[0]?.innerText || e.innerText || e.tagName; })()`)
		seen[strings.TrimSpace(name)] = true
		if ring := eval[string](b, `getComputedStyle(document.activeElement).outlineStyle`); ring == "none" && !strings.Contains(name, "\n") {
			b.t.Errorf("%q shows no ring when it has the focus", name)
		}
		b.run(chromedp.KeyEvent("\t"))
	}
	for _, want := range []string{"Skip to the page", "Overview", "Playground", "Log out", "Reason", "Find"} {
		if !seen[want] {
			b.t.Errorf("the tab key does not come to %q", want)
		}
	}
}

func consoleScopes(b *browser, s *server) {
	b.press("Log out")
	b.wait("the way in", `location.pathname === "/console/login"`)
	b.run(chromedp.Navigate(s.admin + "/console/#/config"))
	b.wait("the way in again", `location.pathname === "/console/login"`)
	b.enter(s, narrowToken)
	b.see("This token may not see this page")
	b.picture("scopes")
	b.visit("Broken")
	b.see("The origin has no such file")
	buttons := eval[int](b, `[...document.querySelectorAll("main button")].filter((e) => e.innerText.startsWith("Retry") && e.checkVisibility()).length`)
	if buttons != 0 {
		b.t.Errorf("%d buttons for what the token may not do", buttons)
	}
}

// What was saved by day is told by the next process too.
func TestDaysOutliveTheProcess(t *testing.T) {
	o, dir := drawn(t, 1, 600, 400), t.TempDir()
	s := startIn(t, dir, consoleEnv...)
	for range 3 {
		s.get(signed("rs:fit:300:0/f:webp", o.URL+"/drawn/0.jpg"))
	}
	s.stop()
	s = startIn(t, dir, consoleEnv...)
	var history struct {
		Days []struct {
			Requests int
			Saved    int `json:"saved_bytes"`
		}
	}
	eventually(t, "the days", func() bool {
		err := json.Unmarshal(s.call("GET", "/v1/history", "").body, &history)
		return err == nil && len(history.Days) > 0
	})
	if d := history.Days[0]; d.Requests != 3 || d.Saved == 0 {
		t.Errorf("got %+v", history)
	}
}
