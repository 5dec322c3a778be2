package e2e

import (
	"bytes"
	"compress/gzip"
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

	"github.com/chromedp/chromedp"
)

// Tokens that may only read: narrowToken is of an owner without jobs, readerToken sees the jobs of the operator.
const narrowToken, readerToken = "e2e-narrow-token-0001", "e2e-reader-token-0001"

// landscape draws hills under a sun, different for each n: pictures with shades, edges and a little grain.
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
	jpeg.Encode(&out, img, &jpeg.Options{Quality: 92}) // It cannot fail in memory.
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

// consoleQuota is more than the tests use.
const consoleQuota = "{units_queued: 1000, images_a_day: 5000}"

// consoleEnv configures two tokens of an operator, one with all scopes and one that may only read, and one of another
// owner with few rights.
var consoleEnv = []string{
	"GOLDCREST_API_TOKENS=[{name: operator, token: " + backendToken + ", scopes: [prewarm, check, sign, explain, purge, admin], quota: " + consoleQuota + "}, " +
		"{name: operator, token: " + readerToken + ", scopes: [check], quota: " + consoleQuota + "}, " +
		"{name: narrow, token: " + narrowToken + ", scopes: [check]}]",
	`GOLDCREST_PRESETS={lite: "rs:fit:320:0/net:2g", std: "rs:fit:640:0"}`,
	// Nothing listens there.
	`GOLDCREST_INTAKES=[{name: shop, kind: nats, url: "nats://127.0.0.1:1", from: units, token: operator}]`,
	"GOLDCREST_PREWARM_PRESETS=[lite, std]", "GOLDCREST_PREWARM_FORMATS=[webp, jpeg]", "GOLDCREST_PREWARM_RETRY=[100ms]",
}

// enter logs in like a user.
func (b *browser) enter(s *server, token string) {
	b.t.Helper()
	b.run(chromedp.Navigate(s.admin + "/console/"))
	b.fill("API token", token)
	b.press("Log in")
}

// visit goes to a page by its link.
func (b *browser) visit(name string) {
	b.t.Helper()
	b.press(name)
	b.wait("the page "+name, fmt.Sprintf(`document.querySelector("h1")?.innerText.startsWith(%q)`, name))
}

// drawnUnits are Data Units with pictures of an origin.
func drawnUnits(o *origin, paths ...string) string {
	var lines []string
	for i, p := range paths {
		lines = append(lines, fmt.Sprintf(`{"id":"unit-%d","title":"Drawn","photo":"%s%s"}`, i, o.URL, p))
	}
	return strings.Join(lines, "\n")
}

// The console is used page by page in a real browser, and must look right in every size and colour scheme.
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
	b.takeTroubles() // Chromium reports every 401 there.
	b.shot("login-refused")
	b.enter(s, backendToken)
	b.see("Requests by outcome")
	b.see("No requests yet")
	b.picture("overview-empty")
	t.Run("jobs", func(t *testing.T) { consoleJobs(b.in(t), s, o) })
	t.Run("usage", func(t *testing.T) { consoleUsage(b.in(t)) })
	t.Run("intakes", func(t *testing.T) { consoleIntakes(b.in(t)) })
	t.Run("broken", func(t *testing.T) { consoleBroken(b.in(t), o) })
	t.Run("playground", func(t *testing.T) { consolePlayground(b.in(t), s, o) })
	t.Run("config", func(t *testing.T) { consoleConfig(b.in(t)) })
	t.Run("overview", func(t *testing.T) { consoleOverview(b.in(t), s, o) })
	t.Run("keyboard", func(t *testing.T) { consoleKeyboard(b.in(t)) })
	t.Run("scopes", func(t *testing.T) { consoleScopes(b.in(t), s) })
}

// in is the tab for a subtest.
func (b *browser) in(t *testing.T) *browser {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.t = t
	return b
}

func consoleJobs(b *browser, s *server, o *origin) {
	consoleNoJobs(b)
	paths := []string{"/drawn/0.jpg", "/drawn/1.jpg", "/drawn/2.jpg", "/drawn/3.jpg", "/missing/a.jpg"}
	b.fill("Data Units", strings.Replace(drawnUnits(o, paths...), `"unit-4"`, `"unit\u202e-4\n"`, 1))
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
	b.see(`unit unit\u202e-4`)
	b.see("Retry broken and failed")

	// A repaired source is retried.
	body := landscape(640, 480, 9)
	o.on("/missing/a.jpg", func(w http.ResponseWriter, _ *http.Request) { w.Write(body) })
	b.press("Retry broken and failed")
	b.wait("the job done", `document.querySelector(".head .pill")?.innerText === "done"`)

	// Another job is posted from a file, and is cancelled while its origin delays it.
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
	b.holds("a.mono", s, func() { // A third job appears while the link of the first has the focus.
		s.prewarm("", `{"id": "no-image", "title": "Nothing to see"}`)
		b.wait("the third job", `document.querySelectorAll("tbody tr").length === 3`)
	})
	b.see("no images")
	consoleUnsigned(b)
	b.press(eval[string](b, `document.querySelector("tbody tr a").innerText`))
	b.see("No image was found in 1 Data Unit")
	b.picture("job-without-images")
	consoleUnreadable(b)
}

// consoleUnsigned shows a job of which one source may not be signed: the pictures of the others are there.
func consoleUnsigned(b *browser) {
	eval[bool](b, `(() => {
		const real = window.fetch;
		window.fetch = (path, opts) => path === "/v1/sign" && opts.body.includes("/drawn/1.jpg")
			? Promise.resolve(new Response("{}", {status: 403})) : real(path, opts);
		addEventListener("hashchange", () => location.hash === "#/jobs" && (window.fetch = real));
		return true;
	})()`)
	eval[bool](b, `[...document.querySelectorAll("tbody tr")].find((r) => r.innerText.includes("spring"))
		.querySelector("a").click() || true`)
	b.wait("four of five pictures", `document.querySelectorAll("tbody tr").length === 5 &&
		document.querySelectorAll("tbody img").length === 4`)
	b.visit("Jobs")
	b.wait("three jobs", `document.querySelectorAll("tbody tr").length === 3`)
}

// holds checks that a page's update keeps the focus and the selected text.
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

// consoleUnreadable posts batches with an invalid line: pasted, and in a compressed file, which the page does not
// parse.
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
	b.see("The file is not an image")
	b.choose("Reason", "The file ends in the middle")
	b.wait("one row", `document.querySelectorAll("tbody tr").length === 1`)
	b.choose("Reason", "Any reason")
	b.wait("all rows", `document.querySelectorAll("tbody tr").length === 4`)
	b.picture("broken")
	b.holds("button", nil, func() {
		eval[bool](b, `(() => { const s = [...document.querySelectorAll("select")][0]; s.dispatchEvent(new Event("change", {bubbles: true})); return true; })()`)
		b.wait("the list read again", `performance.getEntriesByType("resource").filter((r) => r.name.includes("/v1/broken")).length > 1`)
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
	b.see("How it was made")
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
	b.see("The file is not an image")
	b.shot("playground-refused")
	b.fill("Source", "https://images.example/<img src=x onerror=alert(1)>.jpg")
	b.press("Make it")
	b.wait("a refusal", `document.querySelector(".alert") && !document.querySelector(".alert").innerText.includes("not an image")`)
	b.takeTroubles()
}

func consoleConfig(b *browser) {
	b.visit("Config")
	b.see("signing:")
	text := b.text(".yaml")
	for _, secret := range []string{backendToken, narrowToken, readerToken, string(key), "3031323334"} {
		if strings.Contains(text, secret) {
			b.t.Errorf("a secret is shown: %s", secret)
		}
	}
	b.fill("Find", "workers")
	b.wait("found lines", `document.querySelectorAll(".line.hit").length > 0`)
	b.picture("config")
}

// consoleNoJobs checks the page before there is a job, and its message for text that is not JSON.
func consoleNoJobs(b *browser) {
	b.visit("Jobs")
	b.see("No jobs yet")
	b.picture("jobs-empty")
	b.fill("Data Units", "{\"id\": 1,\n\"photo\"")
	b.press("Start the job")
	b.see("This is not JSON")
	b.takeTroubles()
}
