package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is one tab of a headless Chromium.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	troubles []string // errors in the page's console
}

// openBrowser starts Chromium; the test is skipped if it is not installed.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("there is no chromium (Debian package chromium)")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("lang", "en-GB"), chromedp.Env("LANG=C.UTF-8"))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	tab, shut := chromedp.NewContext(alloc)
	ctx, late := context.WithTimeout(tab, 4*time.Minute)
	t.Cleanup(func() { late(); shut(); stop() })
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.heard); err != nil {
		t.Fatal(err)
	}
	command(b, log.Enable, cdp.Empty{})
	command(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watchShifts})
	return b
}

// watchShifts records layout shifts that were not caused by user input.
const watchShifts = `window.shifts = []; new PerformanceObserver((l) => { for (const e of l.getEntries()) if (!e.hadRecentInput) window.shifts.push({at: e.startTime, value: e.value, what: e.sources.map((s) => s.node?.outerHTML?.slice(0, 80) || "").join(" ")}); }).observe({type: "layout-shift", buffered: true});`

func (b *browser) heard(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.troubles = append(b.troubles, (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			text := ""
			for _, a := range e.Args {
				text += string(a.Value) + a.Description + " "
			}
			b.troubles = append(b.troubles, text)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			b.troubles = append(b.troubles, e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

// takeTroubles returns the console's errors since the last call.
func (b *browser) takeTroubles() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.troubles
	b.troubles = nil
	return out
}

// run performs actions in the tab.
func (b *browser) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.shot("failed")
		b.t.Fatalf("browser: %v", err)
	}
}

// command sends a command of the browser's protocol.
func command[P, R any](b *browser, c cdp.Command[P, R], params P) R {
	b.t.Helper()
	res, err := chromedp.Call(b.ctx, c, params)
	if err != nil {
		b.t.Fatalf("browser: %s: %v", c.Method, err)
	}
	return res
}

// eval returns the value of a JavaScript expression, decoded from JSON.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.shot("failed")
		b.t.Fatalf("browser: %s: %v", expression, err)
	}
	return v
}

// text is the visible text of an element.
func (b *browser) text(selector string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf(`(document.querySelector(%q) || {innerText: ""}).innerText`, selector))
}

// wait waits until a JavaScript expression is true.
func (b *browser) wait(what, expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+expression+")")); err == nil && ok { // An error: the page is being left.
			return
		}
	}
	b.shot("failed")
	b.t.Fatalf("not seen: %s\nthe page: %.2000s\nits console: %q", what, b.text("body"), b.takeTroubles())
}

// see waits for a visible text on the page.
func (b *browser) see(text string) {
	b.t.Helper()
	b.wait(strconv.Quote(text), fmt.Sprintf(`document.body && document.body.innerText.includes(%s)`, quoted(text)))
}

// press clicks the button or link of that name, which must exist and be enabled.
func (b *browser) press(name string) {
	b.t.Helper()
	find := fmt.Sprintf(`[...document.querySelectorAll("button, a, summary")].find((e) => (e.innerText.trim() === %[1]s || e.ariaLabel === %[1]s) && !e.disabled && e.checkVisibility())`, quoted(name))
	b.wait("a button "+strconv.Quote(name), find)
	at := eval[struct{ X, Y float64 }](b, `(() => { const e = `+find+`; e.scrollIntoView({block: "center"}); const r = e.getBoundingClientRect(); return {X: r.x + r.width / 2, Y: r.y + r.height / 2}; })()`)
	b.run(chromedp.MouseClickXY(at.X, at.Y))
}

// labelled is a JavaScript expression for the control of a label.
func labelled(label string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("label")].find((l) => l.innerText.trim().startsWith(%s) && l.checkVisibility())?.control`, quoted(label))
}

// fill replaces the text in the control of a label with key presses.
func (b *browser) fill(label, text string) {
	b.t.Helper()
	b.wait("a control "+strconv.Quote(label), labelled(label))
	eval[bool](b, `(() => { const e = `+labelled(label)+`; e.focus(); e.select(); return true; })()`)
	if text == "" {
		b.run(chromedp.KeyEvent("\b"))
		return
	}
	command(b, input.InsertText, input.InsertTextParams{Text: text})
}

// choose selects an option of a list by its text.
func (b *browser) choose(label, option string) {
	b.t.Helper()
	choice := fmt.Sprintf(`(() => { const s = %s, o = s && [...s.options].find((o) => o.text === %s); if (!o) return false; s.value = o.value; s.dispatchEvent(new Event("input", {bubbles: true})); s.dispatchEvent(new Event("change", {bubbles: true})); return true; })()`, labelled(label), quoted(option))
	b.wait(option+" in "+label, choice)
}

func quoted(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}

// looks are the sizes and colour schemes in which every page is checked.
var looks = []struct {
	name, scheme  string
	width, height int64
}{
	{"1280-light", "light", 1280, 800}, {"1280-dark", "dark", 1280, 800}, {"390-light", "light", 390, 844}, {"390-dark", "dark", 390, 844},
}

// dress sets the tab's size and colour scheme.
func (b *browser) dress(scheme string, width, height int64) {
	b.t.Helper()
	command(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500})
	command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
}

// picture takes a screenshot of the page in every look, and checks each by rules.
func (b *browser) picture(name string) {
	b.t.Helper()
	for _, l := range looks {
		b.dress(l.scheme, l.width, l.height)
		b.wait("charts of the new width", `[...document.querySelectorAll(".chart")].every((c) => !c.firstElementChild || Math.abs(c.firstElementChild.offsetWidth - c.clientWidth) < 2)`)
		b.shot(name + "-" + l.name)
		b.judge(name + "-" + l.name)
	}
	b.dress("light", 1280, 800)
}

// shot writes a screenshot of the whole page to build/console.
func (b *browser) shot(name string) {
	_ = chromedp.Do(b.ctx, chromedp.Evaluate[chromedp.Void](`scrollTo(0, 0)`)) // Sticky elements belong at the top of the page.
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	file := filepath.Join("..", "build", "console", name+".png")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o755)
	}
	if err == nil {
		err = os.WriteFile(file, png, 0o644)
	}
	if err != nil {
		b.t.Logf("no picture %s: %v", name, err)
	}
}
