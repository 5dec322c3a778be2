package e2e

// judge checks the basics of the displayed page: every control has a name, every text has enough contrast, nothing is
// cut off at the right, and nothing has shifted.
func (b *browser) judge(name string) {
	b.t.Helper()
	found := eval[struct {
		Nameless, Faint []string
		Texts           int
		Wide, Shifted   float64
		Shifting        []string
	}](b, pageRules)
	if found.Texts == 0 {
		b.t.Errorf("%s: there is no text to judge", name)
	}
	for _, c := range found.Nameless {
		b.t.Errorf("%s: a control without a name: %s", name, c)
	}
	for _, c := range found.Faint {
		b.t.Errorf("%s: a contrast below 4.5: %s", name, c)
	}
	if found.Wide > 1 {
		b.t.Errorf("%s: the page is %.0f px wider than its window", name, found.Wide)
	}
	if found.Shifted > 0.1 {
		b.t.Errorf("%s: a layout shift of %.3f, want at most 0.1: %q", name, found.Shifted, found.Shifting)
	}
	for _, trouble := range b.takeTroubles() {
		b.t.Errorf("%s: the console says: %s", name, trouble)
	}
}

// pageRules computes contrasts as WCAG 2 does. Text over a picture has its own background.
const pageRules = `(() => {
	const rgba = (s) => { const m = s.match(/[\d.]+/g).map(Number); return [m[0], m[1], m[2], m.length > 3 ? m[3] : 1]; };
	const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
	const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const ground = (e) => {
		const layers = [];
		for (; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
		return layers.reverse().reduce((below, l) => over(l, below), [255, 255, 255, 1]);
	};
	const ratio = (e, colour) => { const g = ground(e), [a, b] = [light(over(rgba(colour), g)), light(g)].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05); };
	const out = {Nameless: [], Faint: [], Texts: 0, Wide: document.documentElement.scrollWidth - innerWidth, Shifted: 0, Shifting: window.shifts.map((s) => s.value.toFixed(3) + " " + s.what)};
	let sum = 0, first = 0, last = 0; // The worst window of five seconds, as Chromium's own measure of a page has it.
	for (const s of window.shifts) {
		if (s.at - last > 1000 || s.at - first > 5000) { sum = 0; first = s.at; }
		last = s.at;
		sum += s.value;
		out.Shifted = Math.max(out.Shifted, sum);
	}
	window.shifts = [];
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let n; (n = walk.nextNode());) {
		const e = n.parentElement;
		if (!n.data.trim() || !e.checkVisibility({checkOpacity: true, checkVisibilityCSS: true}) || e.closest("script, style, noscript, option")) continue;
		out.Texts++;
		const r = ratio(e, getComputedStyle(e).color);
		if (r < 4.5) out.Faint.push(n.data.trim().slice(0, 40) + " " + r.toFixed(2));
	}
	for (const c of document.querySelectorAll("input, select, textarea, button, progress, [role=img]")) {
		if (!c.checkVisibility()) continue;
		const name = c.ariaLabel || [...(c.labels || [])].map((l) => l.innerText).join("") || (c.tagName === "BUTTON" && c.innerText);
		if (!name || !name.trim()) out.Nameless.push(c.outerHTML.slice(0, 120));
		if (c.matches("input, textarea, select")) {
			for (const colour of [getComputedStyle(c).color, ...(c.placeholder ? [getComputedStyle(c, "::placeholder").color] : [])]) {
				const r = ratio(c, colour);
				if (r < 4.5 && !c.disabled && c.type !== "range" && c.type !== "checkbox") out.Faint.push("in " + name + " " + r.toFixed(2));
			}
		}
	}
	return out;
})()`
