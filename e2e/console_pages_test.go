package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// hour is the result of /v1/history after an hour with a flood of new pictures.
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
	// A sample is taken every ten seconds. The median shows that the page gets measured values.
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
	}{{0.9, "/s"}, {0.3, "no requests"}} { // No requests between 25 % and 36 % of the hour.
		at := eval[struct{ X, Y float64 }](b, fmt.Sprintf(`(() => { scrollTo(0, 0); const r = document.querySelector(".chart .u-over").getBoundingClientRect(); return {X: r.x + %v * r.width, Y: r.y + r.height / 2}; })()`, place.share))
		b.run(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at.X, at.Y))
		b.wait("the values under the cursor", fmt.Sprintf(`/\d\d:\d\d:\d\d/.test(document.querySelector(".legend .at").innerText) && document.querySelector(".legend").innerText.includes(%q)`, place.says))
	}
	b.shot("overview-cursor")
	b.picture("overview")
}

// consoleIntakes finds the intake whose broker is down, and pauses it.
func consoleIntakes(b *browser) {
	b.visit("Intakes")
	b.wait("the intake with its error", `(() => {
		const row = document.querySelector('[aria-label="Intakes"] tbody tr');
		const cell = (name) => row.querySelector('[data-label="' + name + '"]').innerText;
		return row && /^shop/.test(cell("Intake")) && cell("State") === "not connected" && cell("Last error") !== "";
	})()`)
	b.press("Pause")
	b.wait("the pause", `document.querySelector('[aria-label="Intakes"] tbody tr').innerText.includes("paused")`)
	b.picture("intakes")
	b.press("Resume")
	b.wait("its end", `!document.querySelector('[aria-label="Intakes"] tbody tr').innerText.includes("paused")`)
}

// consoleUsage finds the usage of the previous jobs, and the rest of the quota.
func consoleUsage(b *browser) {
	b.visit("Usage")
	b.wait("both quotas, with what is left", `(() => {
		const rows = [...document.querySelectorAll('[aria-label="Quotas"] tbody tr')].map((r) => r.innerText);
		return rows.length === 2 && rows.some((r) => /operator\s+Images today[^]*[1-9]\d* of 5,000\s+4,\d{3}/.test(r)) && rows.some((r) => /units|Data Units[^]*of 1,000/.test(r));
	})()`)
	b.wait("today", `(() => {
		const row = document.querySelector('[aria-label="Usage by day"] tbody tr'), cell = (name) => row?.querySelector('[data-label="' + name + '"]').innerText;
		return cell("Token") === "operator" && /^\d{4}-\d\d-\d\d$/.test(cell("Day")) && +cell("Images") > 0 && +cell("Made") > 0;
	})()`)
	b.fill("Find", "nobody")
	b.see("Nothing was used")
	b.fill("Find", "")
	b.choose("Days", "The last 31 days")
	b.wait("the row again", `document.querySelector('[aria-label="Usage by day"] tbody tr')`)
	b.picture("usage")
}

// Everything can be reached and used by keyboard alone.
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
	b.see("Nothing of yours is broken") // The broken sources are from the operator's jobs.
	b.picture("broken-of-others")
	b.press("Log out")
	b.wait("the way in for another token", `location.pathname === "/console/login"`)
	b.enter(s, readerToken)
	b.visit("Broken")
	b.see("The origin has no such file")
	buttons := eval[int](b, `[...document.querySelectorAll("main button")].filter((e) => e.innerText.startsWith("Retry") && e.checkVisibility()).length`)
	if buttons != 0 {
		b.t.Errorf("%d buttons for what the token may not do", buttons)
	}
}

// The daily history is still there after a restart.
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
