// The console's page. Strings from outside are only inserted as text: no string contains markup, and the
// page's policy (trusted types) would refuse it.
"use strict";

// ---- the document ----------------------------------------------------------------------------------------------------------------

// h makes an element with attributes, listeners (onclick) and children; strings become text.
function h(tag, attrs, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(attrs || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) el.addEventListener(name.slice(2), value);
    else if (name in el && typeof value !== "string") el[name] = value;
    else el.setAttribute(name, value === true ? "" : value);
  }
  el.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false).map((c) => (typeof c === "string" ? plain(c) : c)));
  return el;
}

// plain writes characters that would reorder or hide the text around them as escapes.
const plain = (text) => text.replace(/[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
const $ = (id) => document.getElementById(id);
let serial = 0;

// field is a labelled control.
function field(label, control, hint) {
  control.id ||= "f" + ++serial;
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, hint && h("span", { class: "hint" }, hint));
}
const select = (attrs, options) => h("select", attrs, options.map((o) => h("option", { value: o[0] }, o[1])));
const pill = (kind, text) => h("span", { class: "pill " + kind }, text);
const card = (title, ...children) => h("section", { class: "card" }, title && h("h2", {}, title), children);
const empty = (title, ...lines) => h("div", { class: "empty" }, h("strong", {}, title), lines.map((l) => (typeof l === "string" ? h("p", {}, l) : l)));
const pageHead = (title, ...rest) => h("div", { class: "head" }, h("h1", { class: "grow" }, title), rest);

// table shows rows; on a phone each row becomes a block whose cells have labels.
function table(caption, columns, rows) {
  return h("div", { class: "scroll" }, h("table", { "aria-label": caption },
    h("thead", {}, h("tr", {}, columns.map((c) => h("th", { class: c.num ? "num" : null, scope: "col" }, c.label || h("span", { class: "soft" }, ""))))),
    h("tbody", {}, rows)));
}
const cells = (columns, values) => values.map((v, i) => h("td", { class: [columns[i].num ? "num" : "", columns[i].class || ""].join(" ").trim() || null, "data-label": columns[i].label }, v === "" ? "" : h("div", {}, v)));

// morph changes an element to match a new one and keeps equal nodes, so focus, selection and loaded pictures stay.
function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  if (old.tagName === "PROGRESS") Object.assign(old, { max: fresh.max, value: fresh.value });
  const now = [...old.childNodes], next = [...fresh.childNodes];
  next.forEach((n, i) => {
    const o = now[i];
    if (!o) old.append(n);
    else if (o.nodeName !== n.nodeName) o.replaceWith(n);
    else if (o.nodeType === Node.TEXT_NODE) {
      if (o.data !== n.data) o.data = n.data;
    } else morph(o, n);
  });
  now.slice(next.length).forEach((o) => o.remove());
}

// listOf is a table that is updated in place: a row keeps its element as long as its key exists.
function listOf(caption, columns) {
  const el = h("div", {}, h("p", { class: "hint" }, "Loading …")), body = h("tbody"), whole = table(caption, columns, []);
  whole.querySelector("tbody").replaceWith(body);
  const draw = (items, key, row) => {
    const keys = new Set(items.map(key)), had = new Map();
    for (const r of [...body.children]) {
      if (keys.has(r.dataset.key)) { had.set(r.dataset.key, r); continue; }
      const focused = r.contains(document.activeElement), near = r.nextElementSibling || r.previousElementSibling;
      r.remove();
      if (focused && near) near.querySelector("a, button")?.focus();
    }
    let at = body.firstElementChild;
    for (const item of items) {
      const fresh = row(item), old = had.get(key(item));
      fresh.dataset.key = key(item);
      if (old) morph(old, fresh);
      if (old && old === at) at = at.nextElementSibling;
      else body.insertBefore(old || fresh, at);
    }
  };
  return {
    el,
    // draw shows a row for each item; without items it shows the text of none.
    draw(items, key, row, none) {
      draw(items, key, row);
      if (!items.length) el.replaceChildren(none());
      else if (el.firstElementChild !== whole) el.replaceChildren(whole);
    },
  };
}

let noteTimer = 0;
function note(text) {
  $("note").textContent = text;
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => { $("note").textContent = ""; }, 4000);
}
async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    note(what + " copied");
  } catch {
    note("The browser did not allow copying; select the text and copy it yourself");
  }
}

// ---- figures ---------------------------------------------------------------------------------------------------------------------

const whole = new Intl.NumberFormat("en");
const count = (n) => whole.format(n || 0);
function scaled(n) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0, v = Math.abs(n || 0);
  while (v >= 999.5 && i < units.length - 1) { v /= 1000; i++; }
  return [(n < 0 ? "-" : "") + (i === 0 || v >= 9.95 ? Math.round(v) : v.toFixed(1)), units[i]];
}
const bytes = (n) => scaled(n).join(" ");
const many = (n, one, more = one + "s") => count(n) + " " + (n === 1 ? one : more);
function percent(part, all) {
  if (!(all > 0)) return "–";
  const tenths = Math.round((1000 * part) / all);
  return part > 0 && tenths === 0 ? "< 0.1 %" : tenths / 10 + " %";
}
// sentence makes a sentence of a text of the API, which begins in lower case and ends without a full stop.
const sentence = (s) => s && s[0].toUpperCase() + s.slice(1) + (/[.?!]$/.test(s) ? "" : ".");
function millis(ms) {
  if (!ms) return ["–", ""];
  if (ms >= 1000) return [(ms / 1000).toFixed(ms >= 10000 ? 0 : 1), "s"];
  return [ms >= 10 ? Math.round(ms) : ms.toFixed(1), "ms"];
}
function span(s) {
  if (s < 60) return Math.max(0, Math.round(s)) + " s";
  if (s < 3600) return Math.round(s / 60) + " min";
  if (s < 86400) return Math.floor(s / 3600) + " h " + Math.round((s % 3600) / 60) + " min";
  return Math.floor(s / 86400) + " d " + Math.round((s % 86400) / 3600) + " h";
}
function when(text) {
  const t = new Date(text), ago = (Date.now() - t) / 1000;
  return h("time", { datetime: text, title: t.toLocaleString() }, ago < 45 ? "just now" : span(ago) + " ago");
}
const figure = ([n, unit]) => [String(n), unit && h("span", { class: "unit" }, unit)];

// reasons maps codes of the API to what happened to a source, and what to do.
const reasons = {
  source_not_found: ["The origin has no such file", "Correct the URL, or restore the file."],
  source_forbidden: ["The origin refuses access", "Allow this server at the origin, or renew the signature in the source’s URL."],
  dns_failed: ["The host name does not exist", "Correct the host in the URL, or its DNS record."],
  not_an_image: ["The file is not an image", "Check what the URL returns: often it is an HTML page."],
  unsupported_format: ["An image in an unsupported format", "Export it as JPEG, PNG, WebP, AVIF, HEIC, GIF or TIFF."],
  decode_failed: ["The file is damaged", "Export it again."],
  truncated_source: ["The file ends in the middle", "Upload it again; its upload was interrupted."],
  too_many_pixels: ["More pixels than transform.max_pixels", "Shrink it at its source, or raise the limit."],
  too_many_frames: ["More frames than are allowed", "Shorten the animation, or request a still."],
  source_too_large: ["Larger than origin.max_bytes", "Shrink it at its source, or raise the limit."],
  source_not_allowed: ["The host is not in origin.allow", "Add the host there, or correct the URL."],
  address_blocked: ["The host has a private address", "Add its network to origin.allow_private if this is intended."],
  bad_source: ["It is not an http or https URL", "Correct it in the Data Unit."],
  too_costly: ["Decoding it takes too long", "Export it again, in a simpler form."],
  poison: ["It crashed the decoder twice", "Export it again, and do not trust the file."],
  hash_mismatch: ["The file is not the one that was signed", "Sign it again."],
  result_too_large: ["The requested picture is too large", "Request a smaller one."],
  connect_failed: ["The origin cannot be reached", "Check the origin, then retry."],
  source_error: ["The origin answered with an error", "Check the origin, then retry."],
  source_timeout: ["The origin was too slow", "Check the origin, then retry."],
  bad_signature: ["The signature does not match", "Sign the URL with a key of this server."],
  key_not_valid: ["The key is not valid now", "Sign with a valid key."],
  url_expired: ["The URL has expired", "Sign it again."],
  bad_path: ["The URL cannot be parsed", "Check its options and source."],
  bad_option: ["An option is not valid", "Correct it in the URL."],
  origin_circuit_open: ["The origin failed and is not called for a while", "Check the origin."],
  overloaded: ["This server is overloaded", "Add cores or instances."],
  transform_timeout: ["Making the picture took too long", "Add cores, or raise transform.timeout."],
  not_cached: ["It is not stored, and it is not made on request", "Prewarm it."],
  internal: ["A bug in this server", "The log line has the stack."],
  tls_failed: ["The origin’s certificate is not valid", "Replace the certificate."],
};
const reasonOf = (code) => (reasons[code] || [code || "no reason was given", ""])[0];
const remedyOf = (code) => (reasons[code] || ["", ""])[1];

// ---- the server ------------------------------------------------------------------------------------------------------------------

let me = null; // the session: token, scopes, csrf, ...
const may = (...scopes) => scopes.some((s) => me.scopes.includes(s));

// Refusal is a failed call, with texts for the user.
class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || "The server answered " + status);
    Object.assign(this, { status, code: problem.code, title: problem.title || "The call failed", id: problem.request_id, retryable: problem.retryable });
  }
}

async function call(method, path, { body, headers, signal } = {}) {
  const all = { Accept: "application/json", ...headers };
  if (method !== "GET") all["X-CSRF-Token"] = me.csrf;
  let res;
  try {
    res = await fetch(path, { method, headers: all, body, signal, credentials: "same-origin", cache: "no-store" });
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Refusal(0, { title: "The server does not answer", detail: "It may be restarting, or the connection is interrupted. This page keeps trying." });
  }
  if (res.status === 401) {
    location.assign("/console/login");
    await new Promise(() => {}); // The browser leaves the page.
  }
  if (!res.ok) throw new Refusal(res.status, await res.json().catch(() => ({})));
  return res;
}
const get = async (path, more) => (await call("GET", path, more)).json();
const send = (method, path, value, more = {}) =>
  call(method, path, { ...more, body: value === undefined ? undefined : JSON.stringify(value), headers: { "Content-Type": "application/json", ...more.headers } });

function alertOf(e) {
  if (!(e instanceof Refusal)) console.error(e);
  return h("div", { class: "alert", role: "alert" }, h("strong", {}, e.title || "This page has a bug"), h("span", { class: "wrap" }, sentence(e.message)),
    e.id && h("span", { class: "hint" }, "Request ", h("code", {}, e.id), e.retryable ? "; the same call may succeed later." : ""));
}

// every runs work now and then every ms while the page is open and visible. It shows a failure and tries again.
function every(page, ms, work) {
  let timer = 0;
  const turn = async () => {
    if (page.over) return;
    try {
      if (!document.hidden) await work();
      page.trouble(null);
    } catch (e) {
      if (!page.over && e.name !== "AbortError") page.trouble(e);
    }
    if (!page.over) timer = setTimeout(turn, ms);
  };
  page.ends(() => clearTimeout(timer));
  return turn();
}

// ---- pages and navigation --------------------------------------------------------------------------------------------------------

const pages = [
  { name: "overview", title: "Overview", scopes: ["admin", "explain"], show: overview },
  { name: "jobs", title: "Jobs", scopes: ["prewarm"], show: jobs, queue: true },
  { name: "broken", title: "Broken", scopes: ["prewarm", "check"], show: broken, queue: true },
  { name: "usage", title: "Usage", scopes: ["prewarm", "compat"], show: usage, queue: true },
  { name: "intakes", title: "Intakes", scopes: ["admin"], show: intakes, queue: true },
  { name: "playground", title: "Playground", scopes: ["sign", "explain"], all: true, show: playground },
  { name: "config", title: "Config", scopes: ["admin"], show: config },
];
let current = null;

function open() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const page = pages.find((p) => p.name === name);
  if (!page) {
    location.replace("#/overview");
    return;
  }
  if (current) current.close();
  $("note").textContent = "";
  document.title = page.title + " · Goldcrest";
  for (const a of $("nav").querySelectorAll("a")) {
    if (a.hash === "#/" + name) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  const body = h("div", { class: "stack" }), trouble = h("div", {});
  const ends = [];
  const own = {
    over: false, body, ends: (f) => ends.push(f),
    trouble: (e) => trouble.replaceChildren(...(e ? [alertOf(e)] : [])),
    close: () => { own.over = true; ends.forEach((f) => f()); },
  };
  current = own;
  $("main").replaceChildren(trouble, body);
  const lacks = page.all ? page.scopes.filter((s) => !may(s)) : may(...page.scopes) ? [] : page.scopes;
  if (lacks.length) {
    body.append(pageHead(page.title), card("", empty("This token may not see this page", `It needs the scope ${lacks.join(page.all ? " and " : " or ")}; the token “${me.token}” has ${me.scopes.join(", ")}.`, "Log in with another token, or add the scope in api.tokens and reload the server.")));
  } else if (page.queue && !me.queue) {
    body.append(pageHead(page.title), card("", empty("This instance accepts no Data Units", "Its configuration has no queue (roles, prewarm.queue). Open the console of an instance that has one.")));
  } else {
    page.show(own, rest);
  }
}

// ---- overview --------------------------------------------------------------------------------------------------------------------

function overview(page) {
  const tile = (label) => {
    const big = h("dd", { class: "big" }, "–"), sub = h("dd", { class: "sub" });
    return { el: h("dl", { class: "card tile" }, h("dt", {}, label), big, sub), set(f, s) { big.replaceChildren(...figure(f).filter(Boolean)); sub.textContent = s; } };
  };
  const t = { rate: tile("Pictures a second"), hits: tile("Hit ratio"), p: tile("Median answer"), saved: tile("Saved today"), total: tile("Saved since the start"), queue: tile("Prewarm queue"), workers: tile("Workers busy"), errors: tile("Errors") };
  const state = pill("", "…"), uptime = h("span", { class: "soft" });
  const names = { outcome: legend([["k1", "Hit in memory"], ["k2", "Hit in the store"], ["k3", "Made"], ["k4", "Error"]]), speed: legend([["k1", "Median"], ["k3", "99th percentile"]]), days: legend([["k1", "against sending the originals"]]) };
  const outcome = chart(page, "Requests by outcome in the last hour", "chart", names.outcome), speed = chart(page, "Answer times in the last hour", "chart low", names.speed), days = chart(page, "Bytes saved per day", "chart low", names.days);
  const health = h("ul", { class: "health" }), faults = errorList();
  const nothing = h("section", { class: "card", hidden: true }, empty("No requests yet", h("p", {}, "Make a signed URL in the ", h("a", { href: "#/playground" }, "playground"), " and open it in a browser. This page then shows the figures, live.")));
  page.body.append(pageHead("Overview", state, uptime),
    h("div", { class: "tiles" }, Object.values(t).map((x) => x.el)),
    nothing, h("section", { class: "card" }, h("header", {}, h("h2", {}, "Requests by outcome"), names.outcome.el), outcome.el),
    h("div", { class: "two" },
      h("section", { class: "card" }, h("header", {}, h("h2", {}, "Answer times"), names.speed.el), speed.el),
      h("section", { class: "card" }, h("header", {}, h("h2", {}, "Saved per day"), names.days.el), days.el)),
    card("Health", health), h("section", { class: "card" }, h("header", {}, h("h2", {}, "Errors by code and host"), h("span", { class: "hint" }, "responses of this instance to viewers")), faults.el));

  let samples = [], last = null;
  every(page, 10000, async () => {
    const newest = samples.length ? samples[samples.length - 1].at : "";
    const more = await get("/v1/history" + (newest ? "?since=" + encodeURIComponent(newest) : ""));
    samples = samples.concat(more.samples).slice(-360);
    const today = more.days.find((d) => d.day === new Date().toISOString().slice(0, 10)), pictures = today ? today.requests : 0;
    drawOutcomes(outcome, samples);
    drawSpeed(speed, samples);
    drawDays(days, more.days);
    t.p.set(...speedNow(samples));
    t.saved.set(scaled(today ? today.saved_bytes : 0), many(pictures, "picture"));
  });
  every(page, 2000, async () => {
    const s = await get("/v1/stats"), n = s.totals, l = s.levels;
    state.className = "pill " + (s.ready ? "good" : "bad");
    state.textContent = s.ready ? "Serving" : "Stopping";
    uptime.textContent = `${s.version} · up ${span(s.uptime_s)}`;
    nothing.hidden = n.requests + n.errors > 0;
    const now = { at: performance.now(), ...n };
    if (last) t.rate.set([((now.requests - last.requests) / ((now.at - last.at) / 1000)).toFixed(1), "/s"], count(n.requests) + " since the start");
    else t.rate.set(["–", ""], count(n.requests) + " since the start");
    last = now;
    t.hits.set([percent(n.hits + n.stale, n.requests), ""], n.requests ? `memory ${percent(n.hits_memory, n.requests)} · store ${percent(n.hits_store, n.requests)}` : "memory and store");
    t.total.set(scaled(n.saved_bytes), n.replaced_bytes ? `${percent(n.saved_bytes, n.replaced_bytes)} of ${bytes(n.replaced_bytes)}` : "nothing sent yet");
    t.queue.set([s.prewarm ? count(l.prewarm_waiting) : "–", s.prewarm ? "tasks" : ""], s.prewarm ? `${many(l.prewarm_jobs, "job")}, ${many(l.prewarm_variants, "variant")} to do` : "no queue here");
    t.workers.set([`${l.workers_busy} / ${l.workers}`, ""], `${count(l.transform_waiting)} waiting, ${many(l.fetch_running, "fetch", "fetches")} running`);
    t.errors.set([count(n.errors), ""], n.requests + n.errors ? `${percent(n.errors, n.requests + n.errors)} of all responses` : "no requests yet");
    faults.draw(s.errors);
    t.errors.el.classList.toggle("rising", s.errors.some(rising));
    health.replaceChildren(...healthRows(s));
  });
}

// rising reports whether a kind of error increases: more than twice as many in the last five minutes as in those
// before, and not just a few.
const rising = (e) => e.recent >= 5 && e.recent > 2 * e.before;

// errorList shows the errors that viewers get, by host.
function errorList() {
  const columns = [{ label: "Error" }, { label: "Host", class: "source" }, { label: "Last 5 min", num: true }, { label: "5 min before", num: true }, { label: "In all", num: true }, { label: "Last" }];
  const list = listOf("Errors by code and host", columns);
  const row = (e) => h("tr", { class: rising(e) ? "rising" : null }, cells(columns, [
    [h("div", {}, reasonOf(e.code)), e.code in reasons && h("code", { class: "hint" }, e.code)], e.host || h("span", { class: "soft" }, "none: the URL was refused"),
    rising(e) ? pill("bad", count(e.recent) + ", rising") : count(e.recent), count(e.before), count(e.total), when(e.last)]));
  return { el: list.el, draw: (errors) => list.draw(errors, (e) => e.code + " " + e.host, row, () => empty("No errors", "Since its start this instance answered every viewer with a picture.")) };
}

// legend names the series of a chart; show writes the values under the cursor, and the cursor's place, beside the
// names.
function legend(series) {
  const at = h("li", { class: "at" }), values = series.map(() => h("span", { class: "value" }));
  const el = h("ul", { class: "legend" }, at, series.map(([k, label], i) => h("li", {}, h("span", { class: "key " + k, "aria-hidden": "true" }), label, values[i])));
  return { el, show(where, texts) { at.textContent = where; values.forEach((v, i) => { v.textContent = texts[i] ?? ""; }); } };
}

function healthRows({ ready, levels: l, totals: n, prewarm }) {
  const row = (name, kind, word, text) => h("li", {}, h("span", {}, name), pill(kind, word), h("span", { class: "soft" }, text));
  return [
    l.workers > 0 ? row("Workers", "good", "Working", `${l.workers} ready, ${l.workers_busy} busy; ${many(n.transforms, "original")} decoded.`)
      : row("Workers", "bad", "None", "No worker process is ready: only stored pictures are served. Check the log and goldcrest doctor."),
    l.store_breaker_open ? row("Store", "bad", "Paused", "It failed several times in a row and is not called for a while; pictures are made again meanwhile. Check its disk or bucket.")
      : row("Store", "good", "Answering", `${bytes(l.store_pending_bytes)} waiting to be written; ${many(n.store_failures, "operation")} failed since the start. Memory holds ${many(l.memory_entries, "picture")}, ${bytes(l.memory_bytes)}.`),
    l.origin_breakers_open > 0 ? row("Origins", "bad", `${l.origin_breakers_open} paused`, "Hosts that failed several times in a row are not called for some seconds. The log names them.")
      : row("Origins", "good", "Answering", `${many(n.fetches, "original")} requested, ${count(n.fetch_failures)} failed; ${many(l.negative_entries, "source")} known to be bad.`),
    !prewarm ? row("Queue", "", "None", "This instance accepts no Data Units.")
      : row("Queue", "good", l.prewarm_working || l.prewarm_waiting ? "Working" : "Idle", `${many(l.prewarm_waiting, "task")} waiting, ${many(l.prewarm_working, "image")} in progress here; ${many(n.data_units, "Data Unit")} accepted since the start.`),
    row("This instance", ready ? "good" : "bad", ready ? "Ready" : "Stopping", ready ? "It accepts requests." : "It is stopping and accepts no new requests."),
  ];
}

function speedNow(samples) {
  const lately = samples.slice(-6).filter((s) => s.p50_ms > 0);
  if (!lately.length) return [["–", ""], "no requests in the last minute"];
  const p50 = millis(lately[lately.length - 1].p50_ms), p99 = millis(Math.max(...lately.map((s) => s.p99_ms)));
  return [[p50.join(" ").trim(), ""], "99th percentile " + p99.join(" ")];
}

// chart holds one uPlot; draw sets its options (with the current colours), its data, and the legend's text for the
// cursor's place.
function chart(page, label, cls, names) {
  const el = h("div", { class: cls, role: "img", "aria-label": label });
  let plot = null, again = null;
  const build = () => {
    if (!again || !el.clientWidth) return;
    const css = getComputedStyle(document.documentElement), colour = (n) => css.getPropertyValue("--" + n).trim();
    const font = "12px " + css.fontFamily;
    const [opts, data, summary, tell] = again(colour);
    const cursor = plot && plot.cursor.left >= 0 ? { left: plot.cursor.left, top: plot.cursor.top } : null;
    const axis = (more) => ({ stroke: colour("soft"), font, grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, ...more });
    opts.axes = opts.axes.map(axis);
    el.setAttribute("aria-label", summary ? label + ": " + summary : label);
    if (plot) plot.destroy();
    const setCursor = (u) => (u.cursor.left >= 0 && u.cursor.idx != null ? names.show(...tell(u.cursor.idx)) : names.show("", []));
    plot = new uPlot({ width: el.clientWidth, height: el.clientHeight, legend: { show: false }, cursor: { y: false, drag: { x: false, y: false }, points: { show: false } }, hooks: { setCursor: [setCursor] }, padding: [8, 18, 0, 0], ...opts }, data, el);
    if (cursor) plot.setCursor(cursor);
  };
  const watch = new ResizeObserver(() => { if (plot && plot.width !== el.clientWidth) build(); });
  watch.observe(el);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", build);
  page.ends(() => { watch.disconnect(); dark.removeEventListener("change", build); if (plot) plot.destroy(); });
  return { el, draw(f) { again = f; build(); } };
}

const clock = (u, ticks) => ticks.map((t) => new Date(t * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }));
// hour is the range of the last hour, or of the data if that is less: at least five minutes.
const hour = (u, min) => {
  const now = Date.now() / 1000;
  return [Math.max(now - 3600, Math.min(min ?? now, now - 300)), now];
};
const decades = [0.01, 0.1, 1, 10, 100, 1000, 10000, 100000];
// wholeDecades is at least one decade, also if all values are equal.
function wholeDecades(u, min, max) {
  const low = decades.findLast((n) => n <= (min || 1)) || 0.01;
  return [low, decades.find((n) => n > low && n >= (max || 100)) || 100000];
}
const upTo = (least) => (u, min, max) => [0, Math.max(max || 0, least) * 1.08];

const atClock = (s) => new Date(s.at).toLocaleTimeString([], { hourCycle: "h23" });

// drawOutcomes stacks the outcomes of each sample as bars; a sample without requests has no bar.
function drawOutcomes(c, samples) {
  const kinds = [(s) => s.hits_memory, (s) => s.hits_store, (s) => s.misses + s.collapsed + s.stale, (s) => s.errors];
  const rates = samples.map((s) => kinds.map((k) => k(s) / (s.seconds || 1)));
  const x = samples.map((s) => new Date(s.at) / 1000), sums = samples.map(() => 0);
  const rows = kinds.map((_, k) => rates.map((r, i) => ((sums[i] += r[k]), r.some(Boolean) ? sums[i] : null))).reverse(); // The tallest bar is drawn first, the others over it.
  const all = samples.reduce((n, s) => n + kinds.reduce((sum, k) => sum + k(s), 0), 0);
  const rate = (n) => (n >= 10 ? Math.round(n) : Math.round(n * 10) / 10) + "/s";
  const paths = uPlot.paths.bars({ size: [1, 16], align: -1 });
  c.draw((colour) => [{
    scales: { x: { range: hour }, y: { range: upTo(1) } },
    axes: [{ values: clock, size: 22, incrs: [60, 300, 600, 900, 1800, 3600] }, { size: 46, values: (u, v) => v.map(rate) }],
    series: [{}, ...["c4", "c3", "c2", "c1"].map((k) => ({ fill: colour(k), width: 0, paths, points: { show: false } }))],
  }, [x, ...rows], `${count(all)} requests`, (i) => (rates[i].some(Boolean) ? [atClock(samples[i]), rates[i].map(rate)] : [atClock(samples[i]) + ", no requests", []])]);
}

// drawSpeed leaves a gap where there were no requests; a single sample between two gaps is a point.
function drawSpeed(c, samples) {
  const x = samples.map((s) => new Date(s.at) / 1000);
  const alone = (u, k) => u.data[k].flatMap((v, i, all) => (v !== null && (all[i - 1] ?? null) === null && (all[i + 1] ?? null) === null ? [i] : []));
  const words = (ms) => millis(ms).join(" ");
  c.draw((colour) => [{
    scales: { x: { range: hour }, y: { distr: 3, range: wholeDecades } },
    axes: [{ values: clock, size: 22, incrs: [60, 300, 600, 900, 1800, 3600] }, { size: 62, splits: (u, i, min, max) => decades.filter((n) => n >= min && n <= max), filter: (u, v) => v, values: (u, v) => v.map((n) => (n >= 1000 ? n / 1000 + " s" : n + " ms")) }],
    series: [{}, ...["c3", "c1"].map((k) => ({ stroke: colour(k), width: 2, points: { show: true, filter: alone, size: 5, fill: colour(k), stroke: colour(k) } }))],
  }, [x, samples.map((s) => s.p99_ms || null), samples.map((s) => s.p50_ms || null)], speedNow(samples)[1],
  (i) => (samples[i].p50_ms ? [atClock(samples[i]), [words(samples[i].p50_ms), words(samples[i].p99_ms)]] : [atClock(samples[i]) + ", no requests", []])]);
}

function drawDays(c, days) {
  const today = Math.floor(Date.now() / 86400000), by = Object.fromEntries(days.map((d) => [d.day, d.saved_bytes]));
  const names = Array.from({ length: 14 }, (_, i) => new Date((today - 13 + i) * 86400000).toISOString().slice(0, 10));
  c.draw((colour) => [{
    scales: { x: { time: false, range: [-0.6, 13.6] }, y: { range: upTo(1000) } },
    axes: [{ size: 22, grid: { show: false }, splits: [0, 3, 6, 9, 13], values: (u, v) => v.map((i) => (names[i] ? new Date(names[i]).toLocaleDateString([], { day: "numeric", month: "short" }) : "")) },
      { size: 62, values: (u, v) => v.map((n) => (n ? bytes(n) : "0")) }],
    series: [{}, { fill: colour("c1"), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.65, 40], radius: 0.15 }) }],
  }, [names.map((_, i) => i), names.map((n) => by[n] || 0)], days.map((d) => `${d.day} ${bytes(d.saved_bytes)}`).join(", "), (i) => [names[i], [bytes(by[names[i]] || 0)]]]);
}

// ---- jobs ------------------------------------------------------------------------------------------------------------------------

const stateKinds = { done: "good", made: "good", present: "good", running: "busy", queued: "", pending: "", partial: "bad", failed: "bad", broken: "bad", cancelled: "", expired: "", skipped: "" };
const statePill = (s) => pill(stateKinds[s] || "", s);
const ended = (j) => !["queued", "running"].includes(j.state);
const settled = (c) => c.variants - c.pending - (c.cancelled || 0) - (c.expired || 0);
const short = (id) => id.slice(0, 8) + "…" + id.slice(-4);
const flash = new Map(); // by job: errors of the units that could not be read

function bar(c, label) {
  return h("progress", { max: Math.max(1, c.variants), value: settled(c), "aria-label": label });
}

function jobs(page, [id]) {
  if (id) return job(page, id);
  const columns = [{ label: "Job", class: "lead" }, { label: "State" }, { label: "Progress", class: "cellbar" }, { label: "Broken, failed", num: true }, { label: "Saved", num: true }, { label: "Tags", class: "wrap" }, { label: "Posted" }];
  const list = listOf("Jobs", columns);
  const start = starter();
  const row = (j) => h("tr", {}, cells(columns, [
    h("a", { href: "#/jobs/" + encodeURIComponent(j.job), class: "mono" }, short(j.job)), statePill(j.state),
    j.counts.variants || !ended(j) ? [`${count(settled(j.counts))} of ${count(j.counts.variants)}`, bar(j.counts, "Progress of job " + short(j.job))] : h("span", { class: "soft" }, "no images"),
    `${count(j.counts.broken)}, ${count(j.counts.failed)}`, bytes(j.bytes.saved), (j.tags || []).join(", "), when(j.created_at),
  ]));
  let more = [], cursor = "";
  const older = h("button", { type: "button", hidden: true, onclick: async () => {
    try {
      const next = await get("/v1/jobs?limit=50&cursor=" + encodeURIComponent(cursor));
      more = more.concat(next.jobs);
      cursor = next.cursor || "";
      draw(head);
    } catch (e) { page.trouble(e); }
  } }, "Older jobs");
  page.body.append(pageHead("Jobs"), start.el, h("section", { class: "card" }, h("h2", {}, "Kept jobs"), list.el, older));
  let head = [];
  const draw = (first) => {
    head = first;
    const known = new Set(first.map((j) => j.job)), all = first.concat(more.filter((j) => !known.has(j.job)));
    older.hidden = !cursor;
    list.draw(all, (j) => j.job, row, () => empty("No jobs yet", "A job is one call with Data Units. Paste or drop a file above to start the first, or post one from your backend:",
        h("code", { class: "wrap" }, "curl -H 'Authorization: Bearer …' --data-binary @units.jsonl -H 'Content-Type: application/x-ndjson' …/v1/prewarm")));
    if (!all.length) start.el.open = true;
  };
  let begun = false;
  every(page, 3000, async () => {
    const first = await get("/v1/jobs?limit=50");
    if (!begun) cursor = first.cursor || "";
    begun = true;
    draw(first.jobs);
  });
}

// starter is the form that posts Data Units.
function starter() {
  const text = h("textarea", { rows: 7, spellcheck: false, class: "mono", placeholder: '{"id": "shoe-1", "images": [{"url": "https://images.example/shoe.jpg"}]}' });
  const file = h("input", { type: "file", accept: ".json,.jsonl,.ndjson,.gz,application/json", hidden: true, "aria-label": "A file of Data Units", onchange: () => take(file.files[0]) });
  const chosen = h("span", { class: "grow" }, "Drop a .json, .jsonl or .gz file here, or");
  const drop = h("div", { class: "drop" }, chosen, h("button", { type: "button", class: "small", onclick: () => file.click() }, "Choose a file"), file);
  const variants = h("input", { placeholder: "as configured", list: "presets", autocomplete: "off" });
  const priority = select({}, [["normal", "Normal"], ["high", "High"], ["low", "Low"]]);
  const tag = h("input", { placeholder: "none", autocomplete: "off", maxlength: "128" });
  const go = h("button", { class: "primary", type: "submit" }, "Start the job"), why = h("div", {});
  let held = null, reading = null; // reading is the latest file that is being read into the field.
  const take = (f) => {
    if (!f) return;
    held = /\.gz$/i.test(f.name) ? f : null;
    chosen.textContent = `${f.name}, ${bytes(f.size)}`;
    text.value = "";
    text.disabled = !!held;
    const own = held ? null : f.text().then((t) => { if (reading === own) text.value = t; });
    reading = own;
  };
  drop.addEventListener("dragover", (e) => { e.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (e) => { e.preventDefault(); drop.classList.remove("over"); take(e.dataTransfer.files[0]); });

  const submit = async (e) => {
    e.preventDefault();
    why.replaceChildren();
    go.disabled = true;
    try {
      await reading;
      const lines = held ? /\.(jsonl|ndjson)\.gz$/i.test(held.name) : isLines(text.value);
      const query = new URLSearchParams({ return: "none", priority: priority.value });
      if (variants.value.trim()) query.set("variants", variants.value.trim());
      if (tag.value.trim()) query.set("tag", tag.value.trim());
      const headers = { "Content-Type": lines ? "application/x-ndjson" : "application/json" };
      if (held) headers["Content-Encoding"] = "gzip";
      const a = await (await call("POST", "/v1/prewarm?" + query, { body: held || text.value, headers })).json();
      const bad = a.units.filter((u) => u.error);
      if (a.job) {
        if (bad.length) flash.set(a.job, bad);
        location.hash = "#/jobs/" + encodeURIComponent(a.job);
      } else why.replaceChildren(unreadable(bad));
    } catch (e) {
      why.replaceChildren(e instanceof SyntaxError ? alertOf(new Refusal(0, { title: "This is not JSON", detail: e.message })) : alertOf(e));
    } finally { go.disabled = false; }
  };
  const el = h("details", { class: "card" }, h("summary", {}, "Start a job"), h("form", { class: "stack", onsubmit: submit },
    field("Data Units: a JSON object, an array, or one object a line", text), drop,
    h("div", { class: "fields" }, field("Variants", variants), field("Priority", priority), field("Tag", tag)),
    h("datalist", { id: "presets" }, me.presets.map((p) => h("option", { value: p }))),
    h("div", { class: "row" }, go, h("span", { class: "hint" }, "Image URLs are found automatically. The text is not kept.")), why));
  return { el };
}

// isLines tells one JSON value per line from one JSON text. It throws a SyntaxError with the place if the text is
// neither.
function isLines(text) {
  let whole;
  try { JSON.parse(text); return false; } catch (e) { whole = e; }
  const lines = text.split("\n").map((l, i) => [l.trim(), i + 1]).filter(([l]) => l);
  if (!lines.length) throw new SyntaxError("The field is empty. Paste Data Units, or choose a file.");
  if (lines.length === 1 || !/^[{["]/.test(lines[1][0])) throw whole;
  for (const [l, n] of lines) {
    try { JSON.parse(l); } catch (e) { throw new SyntaxError(`Line ${n}: ${e.message}`); }
  }
  return true;
}

const unreadable = (bad) => h("div", { class: "alert", role: "alert" }, h("strong", {}, `${count(bad.length)} Data Unit${bad.length === 1 ? "" : "s"} could not be read; the others were taken`),
  bad.slice(0, 5).map((u) => h("span", { class: "wrap" }, `Unit ${u.line ? "in line " + u.line : u.index}${u.error.pointer ? " at " + u.error.pointer : ""}: ${sentence(u.error.detail)}`)),
  bad.length > 5 && h("span", { class: "hint" }, `and ${count(bad.length - 5)} more`));

function job(page, id) {
  const at = "/v1/jobs/" + encodeURIComponent(id);
  const state = h("span", {}), progress = h("progress", { max: 1, value: 0, "aria-label": "Progress of the job" }), words = h("p", { class: "soft" });
  const counts = h("dl", { class: "counts" });
  const retry = h("button", { type: "button", hidden: true, onclick: () => act(retry, "POST", "/retry", "Failed and broken variants are tried again") }, "Retry broken and failed");
  const cancel = h("button", { type: "button", class: "danger", hidden: true, onclick: () => {
    if (cancel.dataset.sure) return act(cancel, "DELETE", "", "Work that had not started is cancelled");
    cancel.dataset.sure = "1";
    cancel.textContent = "Really cancel?";
    setTimeout(() => { delete cancel.dataset.sure; cancel.textContent = "Cancel"; }, 4000);
  } }, "Cancel");
  page.body.append(h("p", {}, h("a", { href: "#/jobs" }, "← All jobs")), pageHead(["Job ", h("span", { class: "mono" }, short(id))], state, retry, cancel));
  if (flash.has(id)) page.body.append(unreadable(flash.get(id)));
  page.body.append(h("section", { class: "card stack" }, progress, words, counts));
  const verdicts = verdictList(page, at);
  page.body.append(verdicts.el);

  let stream = null;
  const draw = (j) => {
    const c = j.counts;
    state.replaceChildren(statePill(j.state));
    progress.hidden = ended(j) && !c.images;
    progress.max = Math.max(1, c.variants);
    progress.value = settled(c);
    if (ended(j) && !c.images) words.replaceChildren(`No image was found in ${many(c.data_units, "Data Unit")}, so there is nothing to make. Image URLs with http or https are found automatically; a select in the call names other places.`);
    else words.replaceChildren(`${count(settled(c))} of ${many(c.variants, "variant")}, of ${many(c.images, "image")} in ${many(c.data_units, "Data Unit")}`,
      ...(j.eta_s ? [`, about ${span(j.eta_s)} to go`] : []), ...(j.finished_at ? [", ended ", when(j.finished_at)] : []), ". ",
      j.bytes.stored ? `They take ${bytes(j.bytes.stored)}, which is ${bytes(j.bytes.saved)} less than the originals in their place.` : "");
    counts.replaceChildren(...["made", "present", "broken", "failed", "skipped", "cancelled", "expired", "pending"].filter((k) => c[k] || ["made", "present", "broken", "failed"].includes(k))
      .map((k) => h("div", {}, h("dt", {}, k), h("dd", { class: k === "broken" && c[k] ? "error" : null }, count(c[k])))));
    retry.hidden = !ended(j) || !(c.broken + c.failed);
    cancel.hidden = ended(j);
    verdicts.changed(c, ended(j));
  };
  // follow opens the job's event stream; the browser reconnects automatically when a stream breaks.
  const follow = () => {
    if (stream) stream.close();
    stream = new EventSource(at + "/events");
    stream.addEventListener("job", (e) => { page.trouble(null); draw(JSON.parse(e.data)); });
    stream.addEventListener("end", () => stream.close());
    stream.addEventListener("error", () => { if (stream.readyState === EventSource.CLOSED) get(at).then(draw, page.trouble); });
  };
  async function act(button, method, path, said) {
    button.disabled = true;
    try {
      draw(await (await send(method, at + path)).json());
      note(said);
      follow();
    } catch (e) { page.trouble(e); }
    button.disabled = false;
  }
  page.ends(() => stream && stream.close());
  get(at).then((j) => { draw(j); follow(); }, page.trouble);
}

// worst orders the states of variants: those that need attention come first.
const worst = ["broken", "failed", "pending", "expired", "cancelled", "skipped", "made", "present"];
const bySeverity = (a, b) => worst.indexOf(a.state) - worst.indexOf(b.state);

// byImage groups verdicts by their source, the worst first.
function byImage(verdicts) {
  const groups = new Map();
  for (const v of verdicts) {
    const g = groups.get(v.source) || { source: v.source, units: new Set(), verdicts: [] };
    g.units.add(`unit ${v.id}${v.pointer ? " at " + v.pointer : ""}`);
    g.verdicts.push(v);
    groups.set(v.source, g);
  }
  for (const g of groups.values()) {
    g.verdicts.sort(bySeverity);
    g.state = g.verdicts[0].state;
  }
  return [...groups.values()].sort(bySeverity);
}

// pictures signs the URLs of stored variants, and fetches the pictures to show, each once.
function pictures(page, redraw) {
  let refusals = 0;
  const urls = new Map(), shown = new Map(), able = may("sign") && may("explain");
  const optionsOf = (v) => "pr:" + v.name, keyOf = (v) => v.source + " " + optionsOf(v), pictureOf = (v) => keyOf(v) + " " + v.format;
  const stored = (v) => able && ["made", "present"].includes(v.state) && me.presets.includes(v.name);
  page.ends(() => shown.forEach((src) => src && URL.revokeObjectURL(src)));
  async function sign(verdicts) {
    const by = new Map();
    for (const v of verdicts.filter((v) => stored(v) && !urls.has(keyOf(v)))) {
      by.set(optionsOf(v), (by.get(optionsOf(v)) || new Set()).add(v.source));
      urls.set(keyOf(v), "");
    }
    for (const [options, sources] of by) await signed([...sources], options);
    return by.size;
  }
  // A call is refused as a whole if one source may not be signed: halves find it, and give up if there are many.
  async function signed(sources, options) {
    try {
      const a = await (await send("POST", "/v1/sign", { urls: sources, options })).json();
      a.urls.forEach((u) => urls.set(u.source + " " + options, u.url));
    } catch (e) {
      if (![400, 403].includes(e.status)) throw e;
      const half = sources.length >> 1;
      if (half && refusals++ < 40) for (const part of [sources.slice(0, half), sources.slice(half)]) await signed(part, options);
    }
  }
  return {
    url: (v) => (stored(v) && urls.get(keyOf(v))) || "",
    src: (v) => shown.get(pictureOf(v)) || "",
    // want signs the URLs of verdicts, and shows one picture for each verdict of show.
    async want(verdicts, show) {
      if (await sign(verdicts)) redraw();
      for (const v of show) {
        if (page.over || !urls.get(keyOf(v)) || shown.has(pictureOf(v))) continue;
        shown.set(pictureOf(v), "");
        const res = await call("GET", "/console/picture" + urls.get(keyOf(v)).slice(me.base_url.length), { headers: { Accept: acceptOf(v.format) } }).catch(() => null);
        if (page.over || !res) continue;
        shown.set(pictureOf(v), URL.createObjectURL(await res.blob()));
        redraw();
      }
    },
  };
}

// acceptOf is the Accept header of a browser that gets this format.
const acceptOf = (format) => clients[{ avif: 0, webp: 1 }[format] ?? 2][0];

const outLink = (url, text, more) => (/^https?:\/\//i.test(url) ? h("a", { href: url, target: "_blank", rel: "noreferrer", ...more }, text) : text);

// verdictList shows the verdicts of a job's images, filtered by state and by part of their source.
function verdictList(page, at) {
  const columns = [{ label: "Picture", class: "thumb" }, { label: "Image", class: "source" }, { label: "Variants", class: "grouped" }];
  const which = select({}, [["", "All"], ["made", "Made"], ["present", "Present"], ["broken", "Broken"], ["failed", "Failed"], ["skipped", "Skipped"], ["pending", "Pending"], ["cancelled", "Cancelled"], ["expired", "Expired"]]);
  const find = h("input", { type: "search", placeholder: "part of a source or id", autocomplete: "off" });
  const list = listOf("Verdicts by image", columns), shown = h("span", { class: "hint", role: "status" });
  const more = h("button", { type: "button", hidden: true, onclick: () => { pages++; load().catch(page.trouble); } }, "More verdicts");
  let rows = [], rest = false, over = false, pages = 1, turn = 0, due = 0;
  const signed = pictures(page, () => { due ||= requestAnimationFrame(() => { due = 0; if (!page.over) draw(); }); }); // One redraw per frame, for several pictures.
  const variant = (v) => {
    const url = signed.url(v), name = [v.name, v.format].filter(Boolean).join(" · ");
    return h("li", {}, statePill(v.state), url ? outLink(url, name, { "aria-label": `Open ${name} of ${v.source}` }) : h("span", {}, name),
      h("span", { class: "hint" }, [v.width && `${v.width} × ${v.height}`, v.bytes && bytes(v.bytes) + (v.source_bytes ? " of " + bytes(v.source_bytes) : ""), v.score && `score ${Math.round(v.score * 10) / 10}`].filter(Boolean).join(", ")));
  };
  const smallest = (g) => g.verdicts.filter((v) => signed.url(v)).sort((a, b) => a.bytes - b.bytes)[0];
  const row = (g) => {
    const small = smallest(g), src = small && signed.src(small), bad = g.verdicts.find((v) => v.reason);
    const name = g.source.split(/[?#]/)[0].split("/").pop() || g.source;
    return h("tr", {}, cells(columns, [
      src ? h("img", { src, alt: name }) : h("span", { class: "none", "aria-hidden": "true" }),
      [outLink(g.source, g.source), [...g.units].slice(0, 3).map((u) => h("div", { class: "hint" }, u)), g.units.size > 3 && h("div", { class: "hint" }, `and ${count(g.units.size - 3)} more units`)],
      [bad && h("div", { class: "why" }, h("strong", { class: "error" }, reasonOf(bad.reason)), " ", h("span", { class: "hint" }, remedyOf(bad.reason))), h("ul", {}, g.verdicts.slice(0, 40).map(variant)), g.verdicts.length > 40 && h("div", { class: "hint" }, `and ${count(g.verdicts.length - 40)} more`)],
    ]));
  };
  const draw = () => {
    const q = find.value.trim().toLowerCase(), seen = rows.filter((v) => !q || (v.source + " " + v.id).toLowerCase().includes(q)), groups = byImage(seen).slice(0, 300);
    shown.textContent = rows.length ? `${many(groups.length, "image")}, ${many(seen.length, "verdict")}${rest ? " of those loaded" : ""}` : "";
    list.draw(groups, (g) => g.source, row, () => (which.value || q ? empty("No such verdict", "Choose another state, or a shorter search text.")
      : over ? empty("No verdicts", "The job has ended and has no variants.") : empty("No verdicts yet", "They appear as the job continues.")));
    more.hidden = !rest;
    signed.want(groups.flatMap((g) => g.verdicts), groups.map(smallest).filter(Boolean)).catch((e) => { if (!page.over && !(e instanceof Refusal)) page.trouble(e); });
  };
  // load reads as many pages as requested: first broken and failed verdicts, then all.
  async function load() {
    const mine = ++turn, got = [], states = which.value ? [which.value] : ["broken", "failed", ""];
    let left = pages, next = "";
    while (states.length && left > 0) {
      const state = states[0];
      const res = await call("GET", next || at + "/results?" + new URLSearchParams({ limit: "200", ...(state && { state }) }));
      const part = (await res.text()).split("\n").filter(Boolean).map((l) => JSON.parse(l));
      if (page.over || mine !== turn) return;
      got.push(...(state || which.value ? part : part.filter((v) => !["broken", "failed"].includes(v.state))));
      const link = /<([^>]+)>; rel="next"/.exec(res.headers.get("Link") || "");
      next = link ? link[1] : "";
      if (!next) states.shift();
      if (next || part.length >= 200) left--;
    }
    rows = got;
    rest = states.length > 0;
    draw();
  }
  which.addEventListener("change", () => { pages = 1; load().catch(page.trouble); });
  find.addEventListener("input", draw);
  let told = "", timer = 0;
  page.ends(() => clearTimeout(timer));
  return {
    el: h("section", { class: "card" }, h("header", {}, h("h2", {}, "Verdicts by image"), shown), h("div", { class: "fields" }, field("State", which), field("Find", find)), list.el, more),
    // changed reads the verdicts again when the counts change, at most once a second.
    changed(c, ended) {
      const now = JSON.stringify([c, ended]);
      if (now === told) return;
      const first = !told;
      told = now;
      over = ended;
      clearTimeout(timer);
      timer = setTimeout(() => load().catch(page.trouble), first ? 0 : 1000);
    },
  };
}

// ---- broken ----------------------------------------------------------------------------------------------------------------------

function broken(page) {
  const columns = [{ label: "Source", class: "source" }, { label: "Reason" }, { label: "Times", num: true }, { label: "Last seen" }, { label: "" }];
  const since = select({}, [["24h", "The last day"], ["168h", "The last week"], ["", "All that are kept"]]);
  const reason = select({}, [["", "Any reason"]]), find = h("input", { type: "search", placeholder: "part of a source", autocomplete: "off" });
  since.value = "168h";
  const list = listOf("Broken sources", columns), shown = h("span", { class: "hint", role: "status" });
  const all = h("button", { type: "button", hidden: true, onclick: () => again(seen().map((b) => b.source)) }, "Retry those shown");
  const asked = new Map(); // by source: the state of a retry
  let rows = [];
  const seen = () => rows.filter((b) => (!reason.value || b.reason === reason.value) && b.source.toLowerCase().includes(find.value.trim().toLowerCase())).slice(0, 500);
  const row = (b) => h("tr", {}, cells(columns, [b.source, [h("div", {}, reasonOf(b.reason)), h("div", { class: "hint" }, remedyOf(b.reason))], count(b.count), when(b.at),
    asked.has(b.source) ? asked.get(b.source)() : (may("prewarm") ? h("button", { type: "button", class: "small", "aria-label": "Retry " + b.source, onclick: () => again([b.source]) }, "Retry") : "")]));
  const draw = () => {
    const some = seen();
    shown.textContent = rows.length ? `${count(some.length)} of ${count(rows.length)} sources` : "";
    all.hidden = !may("prewarm") || some.length < 2;
    list.draw(some, (b) => b.source, row, () => (rows.length ? empty("Nothing broken for this reason", "Choose another reason, or a shorter search text.")
        : empty(may("admin") ? "Nothing is broken" : "Nothing of yours is broken", "This page lists sources of which no variant can be made, with what is wrong and what to do. They come from "
          + (may("admin") ? "prewarm jobs." : `the prewarm jobs of “${me.token}”; a token with the scope admin sees those of all tokens.`))));
  };
  async function again(sources) {
    for (const s of sources) asked.set(s, () => h("span", { class: "soft" }, "Asking …"));
    draw();
    try {
      const a = await (await send("POST", "/v1/prewarm", { urls: sources, again: true, return: "none", tags: ["console-retry"] })).json();
      const j = a.job;
      for (const s of sources) asked.set(s, () => (j ? h("a", { href: "#/jobs/" + encodeURIComponent(j) }, "Looking again") : ""));
      draw();
      if (!j) return load();
      const end = await get(`/v1/jobs/${encodeURIComponent(j)}?wait=30`);
      const left = end.counts.broken;
      note(!ended(end) ? "The job is still running" : left ? `${count(left)} variants are still broken` : "Mended");
      if (ended(end)) sources.forEach((s) => asked.delete(s));
      await load();
    } catch (e) {
      sources.forEach((s) => asked.delete(s));
      draw();
      page.trouble(e);
    }
  }
  async function load() {
    const got = await get("/v1/broken?limit=10000" + (since.value ? "&since=" + since.value : ""));
    rows = got.broken.reverse();
    const kinds = [...new Set(rows.map((b) => b.reason))].sort(), chosen = reason.value;
    const options = h("select", {}, h("option", { value: "" }, "Any reason"), kinds.map((k) => h("option", { value: k }, reasonOf(k))));
    morph(reason, Object.assign(options, { id: reason.id }));
    reason.value = kinds.includes(chosen) ? chosen : "";
    draw();
  }
  since.addEventListener("change", () => load().catch(page.trouble));
  reason.addEventListener("change", draw);
  find.addEventListener("input", draw);
  page.body.append(pageHead("Broken", all), h("section", { class: "card stack" }, h("div", { class: "fields" }, field("Seen in", since), field("Reason", reason), field("Find", find)), shown, list.el));
  every(page, 15000, load);
}

// ---- usage -----------------------------------------------------------------------------------------------------------------------

// quotas has a text for each quota of a token.
const quotas = { units_queued: "Data Units in jobs that have not ended", images_a_day: "Images today, by UTC" };

// usage shows the usage of the token, and with admin that of every token.
function usage(page) {
  const limits = [{ label: "Token", class: "lead" }, { label: "Quota" }, { label: "Used", class: "cellbar" }, { label: "Left", num: true }];
  const columns = [{ label: "Day", class: "lead" }, { label: "Token" }, { label: "Data Units", num: true }, { label: "Images", num: true }, { label: "Made", num: true }, { label: "Present", num: true },
    { label: "Broken, failed", num: true }, { label: "Refused", num: true }, { label: "Fetched", num: true }, { label: "Stored", num: true }, { label: "Saved", num: true }];
  const left = listOf("Quotas", limits), byDay = listOf("Usage by day", columns);
  const days = select({}, [["7", "The last 7 days"], ["31", "The last 31 days"]]), find = h("input", { type: "search", placeholder: "part of a token’s name", autocomplete: "off" });
  let owners = [];
  const quota = ([owner, kind, q]) => h("tr", {}, cells(limits, [owner, quotas[kind] || kind,
    [`${count(q.used)} of ${count(q.limit)}`, h("progress", { max: Math.max(1, q.limit), value: Math.min(q.used, q.limit), "aria-label": `Used by ${owner}: ${quotas[kind] || kind}` })],
    q.remaining ? count(q.remaining) : pill("bad", "none")]));
  const day = ([owner, d]) => h("tr", {}, cells(columns, [d.day, owner, count(d.data_units), count(d.images), count(d.made), count(d.present), `${count(d.broken)}, ${count(d.failed)}`,
    d.refused ? pill("bad", count(d.refused)) : "0", bytes(d.bytes.source), bytes(d.bytes.stored), bytes(d.bytes.saved)]));
  const draw = () => {
    const seen = owners.filter((o) => o.owner.toLowerCase().includes(find.value.trim().toLowerCase()));
    left.draw(seen.flatMap((o) => Object.entries(o.quota).map(([kind, q]) => [o.owner, kind, q])), ([owner, kind]) => owner + " " + kind, quota,
      () => empty("No quota", "Usage is not limited. Set quotas in api.tokens[].quota."));
    byDay.draw(seen.flatMap((o) => o.days.map((d) => [o.owner, d])).sort(([, a], [, b]) => b.day.localeCompare(a.day)), ([owner, d]) => d.day + " " + owner, day,
      () => empty("Nothing was used", "Prewarm calls are counted here by day (UTC), for as long as jobs are kept."));
  };
  const load = async () => {
    owners = (await get("/v1/usage?days=" + days.value)).usage;
    draw();
  };
  days.addEventListener("change", () => load().catch(page.trouble));
  find.addEventListener("input", draw);
  page.body.append(pageHead("Usage"), h("div", { class: "fields" }, field("Days", days), may("admin") && field("Find", find)),
    card("Quotas", left.el), card("By day", byDay.el));
  every(page, 15000, load);
}

// ---- intakes ---------------------------------------------------------------------------------------------------------------------

// intakes shows the queues that Data Units come from, on this instance, and pauses and resumes them.
function intakes(page) {
  const columns = [{ label: "Intake", class: "lead" }, { label: "From" }, { label: "State" }, { label: "Waiting", num: true }, { label: "A second", num: true },
    { label: "Accepted", num: true }, { label: "Again", num: true }, { label: "Dead", num: true }, { label: "Last error" }, { label: "" }];
  const list = listOf("Intakes", columns);
  const turn = async (i, button) => {
    button.disabled = true;
    try {
      draw((await (await send("POST", `/v1/intakes/${encodeURIComponent(i.name)}/${i.paused ? "resume" : "pause"}`)).json()).intakes);
      note(`${i.name} is ${i.paused ? "taking messages" : "paused"}`);
    } catch (e) {
      page.trouble(e);
    }
    button.disabled = false;
  };
  const state = (i) => (i.paused ? pill("", "paused") : i.connected ? pill("good", "connected") : pill("bad", "not connected"));
  const row = (i) => {
    const button = h("button", { type: "button", onclick: () => turn(i, button) }, i.paused ? "Resume" : "Pause");
    return h("tr", {}, cells(columns, [[i.name, " ", h("span", { class: "hint" }, `${i.kind}, as ${i.token}`)], i.from, state(i), i.waiting < 0 ? "?" : count(i.waiting),
      i.rate.toFixed(1), count(i.counts.accepted), count(i.counts.again), i.counts.dead ? pill("bad", count(i.counts.dead)) : "0",
      i.last_error ? [h("span", { class: "wrap" }, i.last_error), " ", h("span", { class: "hint" }, when(i.last_error_at))] : "", button]));
  };
  // The button is part of the row. Its key has the state, so the row is replaced when Pause changes to Resume.
  const draw = (all) => list.draw(all, (i) => i.name + " " + i.paused, row, () => empty("No intakes", "Configure queues that deliver Data Units in intakes."));
  page.body.append(pageHead("Intakes"), card("", list.el));
  every(page, 5000, async () => draw((await get("/v1/intakes")).intakes));
}

// ---- playground ------------------------------------------------------------------------------------------------------------------

const clients = [["image/avif,image/webp,image/*,*/*;q=0.8", "Current"], ["image/webp,image/*,*/*;q=0.8", "Without AVIF"], ["*/*", "Unknown"]];
const netClasses = [["2g", "2G"], ["3g", "3G"], ["4g", "4G"], ["wifi", "Wi-Fi"]];

function playground(page) {
  const c = {
    source: h("input", { type: "url", required: true, placeholder: "https://images.example/shoe.jpg", autocomplete: "off", spellcheck: false }),
    preset: select({}, [["", me.only_presets ? "Choose one" : "None"], ...me.presets.map((p) => [p, p])]),
    type: select({}, [["fit", "Fit"], ["fill", "Fill and crop"], ["force", "Force"]]),
    width: h("input", { type: "number", min: 0, max: 16383, value: "800", inputmode: "numeric" }), height: h("input", { type: "number", min: 0, max: 16383, placeholder: "as it comes", inputmode: "numeric" }),
    gravity: select({}, [["sm", "Smart"], ["ce", "Centre"], ["no", "Top"], ["so", "Bottom"], ["we", "Left"], ["ea", "Right"]]),
    dpr: select({}, [["", "1"], ["1.5", "1.5"], ["2", "2"], ["3", "3"]]),
    format: select({}, [["", "Negotiated"], ["avif", "AVIF"], ["webp", "WebP"], ["jpg", "JPEG"], ["png", "PNG"]]),
    net: select({}, [["", "4G, usual"], ...netClasses, ["auto", "By client hints"]]),
    auto: h("input", { type: "checkbox", checked: true }), quality: h("input", { type: "range", min: 1, max: 100, value: "75", disabled: true, "aria-label": "Quality" }),
    client: select({}, clients), ttl: select({}, [["", "Never"], ["24h", "In a day"], ["168h", "In a week"]]),
    more: h("input", { placeholder: "blur:3/bg:fff", autocomplete: "off", spellcheck: false }),
  };
  const shownQuality = h("output", { class: "hint" }, "chosen for each picture"), text = h("code", { class: "wrap" });
  const options = (change = {}) => {
    const v = (n) => (n in change ? change[n] : c[n].type === "checkbox" ? c[n].checked : c[n].value.trim());
    const out = [];
    if (v("preset")) out.push("pr:" + v("preset"));
    if (me.only_presets) return out.join("/");
    if (+v("width") || +v("height")) out.push(`rs:${v("type")}:${+v("width") || 0}:${+v("height") || 0}`);
    if (v("type") === "fill" && +v("width") && +v("height")) out.push("g:" + v("gravity"));
    if (v("dpr")) out.push("dpr:" + v("dpr"));
    if (v("net")) out.push("net:" + v("net"));
    if (v("more")) out.push(v("more").replace(/^\/+|\/+$/g, ""));
    if (!v("auto")) out.push("q:" + v("quality"));
    if (v("format")) out.push("f:" + v("format"));
    return out.join("/");
  };
  const told = () => {
    c.quality.disabled = c.auto.checked;
    shownQuality.textContent = c.auto.checked ? "chosen for each picture" : c.quality.value;
    c.gravity.disabled = c.type.value !== "fill";
    text.textContent = options() || "none: the picture’s own size";
  };
  const go = h("button", { class: "primary", type: "submit" }, "Make it"), classes = h("button", { type: "button", onclick: () => run(compareClasses) }, "Compare net classes");
  const form = h("form", { class: "card stack", onsubmit: (e) => { e.preventDefault(); run(make); }, oninput: told }, field("Source", c.source),
    me.presets.length > 0 && field("Preset", c.preset),
    !me.only_presets && [h("div", { class: "fields" }, field("Width", c.width), field("Height", c.height)),
      h("div", { class: "fields" }, field("Resize", c.type), field("Gravity", c.gravity)), h("div", { class: "fields" }, field("Format", c.format), field("Net class", c.net)),
      h("div", { class: "field" }, h("label", { class: "check" }, c.auto, "Automatic quality"), h("div", { class: "row" }, h("div", { class: "grow" }, c.quality), shownQuality)),
      h("div", { class: "fields" }, field("Pixel ratio", c.dpr), field("Further options", c.more))],
    h("div", { class: "fields" }, field("Browser", c.client), field("URL expires", c.ttl)),
    h("div", { class: "field" }, h("span", { class: "hint" }, "Options"), text), h("div", { class: "row" }, go, classes));
  const out = h("div", { class: "stack", "aria-live": "polite" }, card("", empty("Nothing made yet", "Enter the URL of a picture that this server may fetch, choose options, and press “Make it”. The picture is made with lower priority than all viewers’ and kept like any other.")));
  page.body.append(pageHead("Playground"), h("div", { class: "play" }, form, out));
  told();

  const urls = [];
  page.ends(() => urls.forEach((u) => URL.revokeObjectURL(u)));
  async function sign(opts) {
    const a = await (await send("POST", "/v1/sign", { source: c.source.value.trim(), options: opts, ...(c.ttl.value ? { ttl: c.ttl.value } : {}) })).json();
    return a.urls[0].url;
  }
  // produce signs, makes and fetches one picture.
  async function produce(opts) {
    const url = await sign(opts), path = url.slice(me.base_url.length), headers = { Accept: c.client.value };
    const explained = await get("/v1/explain" + path + (path.includes("?") ? "&" : "?") + "run=1", { headers });
    if (!explained.stored) {
      const r = explained.run || {};
      throw new Refusal(0, { title: reasons[r.code] ? reasonOf(r.code) : "The picture could not be made", detail: `${sentence(r.detail || "the server does not say why")} ${remedyOf(r.code)}`.trim(), retryable: r.retryable });
    }
    const blob = await (await call("GET", "/console/picture" + path, { headers })).blob();
    const src = URL.createObjectURL(blob);
    urls.push(src);
    return { url, explained, src };
  }
  async function run(work) {
    if (!form.reportValidity()) return;
    for (const b of [go, classes]) b.disabled = true;
    out.setAttribute("aria-busy", "true");
    page.trouble(null);
    try { await work(); } catch (e) { if (!page.over) out.replaceChildren(alertOf(e)); }
    out.removeAttribute("aria-busy");
    for (const b of [go, classes]) b.disabled = false;
  }
  async function make() {
    out.replaceChildren(card("", h("p", { class: "hint" }, "Signing, fetching, making …")));
    const one = await produce(options());
    // The same pixels without loss, for comparison. If the picture is too large for that, only the picture is shown.
    const ref = me.only_presets ? null : await produce(options({ auto: true, format: "png" })).catch(() => null);
    if (page.over) return;
    out.replaceChildren(signedCard(one.url), h("section", { class: "card stack" }, compare(one, ref), facts(one.explained)), card("How it was made", tree(one.explained)));
  }
  async function compareClasses() {
    out.replaceChildren(card("", h("p", { class: "hint" }, "Making one for each class …")));
    const shots = [];
    for (const [net, name] of netClasses) {
      const one = await produce(options({ net })), s = one.explained.stored;
      shots.push(h("figure", {}, h("div", { class: "shot" }, h("img", { src: one.src, alt: "The picture for " + name })),
        h("figcaption", {}, h("strong", {}, name), h("div", {}, bytes(s.bytes), h("span", { class: "soft" }, ` of ${bytes(+s.attrs.sb)}`)),
          h("div", { class: "hint" }, `${s.content_type.replace("image/", "")}, quality ${s.attrs.q || "–"}, ${s.attrs.w} × ${s.attrs.h}`), h("button", { type: "button", class: "small", onclick: () => copy(one.url, "URL") }, "Copy URL"))));
      if (page.over) return;
      out.replaceChildren(h("section", { class: "card" }, h("header", {}, h("h2", {}, "By net class"), h("span", { class: "hint" }, "the same requested size; slower networks get less quality, and 2G and 3G limit the pixel ratio")), h("div", { class: "classes" }, shots)));
    }
  }
}

function signedCard(url) {
  const box = h("input", { readonly: true, value: url, class: "mono", "aria-label": "Signed URL", onfocus: () => box.select() });
  return h("section", { class: "card" }, h("h2", {}, "Signed URL"), h("div", { class: "signed" }, box, h("button", { type: "button", onclick: () => copy(url, "URL") }, "Copy")));
}

// compare lays the picture over the lossless one; the slider moves the divider between them.
function compare(one, ref) {
  const frame = h("figure", {}), w = +one.explained.stored.attrs.w, hgt = +one.explained.stored.attrs.h;
  const img = (src, alt, cls) => h("img", { src, alt, class: cls, width: String(w), height: String(hgt) });
  if (!ref) {
    frame.append(img(one.src, "The picture as it is sent", ""));
    return h("div", { class: "compare" }, frame);
  }
  const after = img(one.src, "The picture as it is sent", "after"), line = h("div", { class: "divider" });
  const slider = h("input", { type: "range", min: 0, max: 100, step: "0.5", value: "50", "aria-label": "Divider between the lossless picture on the left and the sent one on the right" });
  const set = () => { after.style.clipPath = `inset(0 0 0 ${slider.value}%)`; line.style.left = slider.value + "%"; };
  slider.addEventListener("input", set);
  set();
  const s = one.explained.stored;
  frame.append(img(ref.src, "The same pixels without loss", ""), after, line, h("div", { class: "tag l" }, `Lossless, ${bytes(ref.explained.stored.bytes)}`),
    h("div", { class: "tag r" }, `${s.content_type.replace("image/", "").toUpperCase()}, ${bytes(s.bytes)}`));
  const drag = (e) => {
    const box = frame.getBoundingClientRect();
    slider.value = String((100 * (e.clientX - box.left)) / box.width);
    set();
  };
  frame.addEventListener("pointerdown", (e) => { e.preventDefault(); frame.setPointerCapture(e.pointerId); drag(e); });
  frame.addEventListener("pointermove", (e) => { if (e.buttons) drag(e); });
  return h("div", { class: "stack" }, h("div", { class: "compare" }, frame), slider);
}

function facts(e) {
  const s = e.stored, a = s.attrs, of = +a.sb;
  const one = (k, v) => h("div", {}, h("dt", {}, k), h("dd", {}, v));
  return h("dl", { class: "facts" }, one("Bytes", bytes(s.bytes)), one("Original", of ? bytes(of) : "–"), one("Saved", of ? percent(of - s.bytes, of) : "–"),
    one("Format", s.content_type.replace("image/", "")), one("Quality", a.q && a.q !== "0" ? a.q : "lossless"), one("Pixels", `${a.w} × ${a.h}`));
}

// tree shows the phases of the request in order.
function tree(e) {
  const s = e.stored || { attrs: {} }, a = s.attrs || {}, r = e.run;
  const leaf = (k, v) => (v === "" || v === null || v === undefined ? null : h("li", {}, h("span", { class: "k" }, k), h("span", { class: "v" }, String(v))));
  const node = (k, v, ...under) => h("li", {}, h("b", {}, k), " ", h("span", { class: "v" }, v), h("ul", {}, under.filter(Boolean)));
  const known = new Set(["w", "h", "q", "sw", "sh", "sf", "sb", "kind", "print", "target", "predicted", "tried", "note", "ph", "fr", "sfr"]);
  const ms = (n) => millis(n || 0.01).join(" ");
  return h("ul", { class: "tree" },
    node("Verified", e.signature === "valid" ? "the signature is valid" : e.signature, leaf("refused", e.refused), leaf("detail", e.detail)),
    node("Parsed", e.options || "no options", leaf("source host", e.source_host), leaf("source tag", e.source_tag), leaf("presets", (e.presets || []).join(", ")), leaf("expires", e.expires && new Date(e.expires).toLocaleString())),
    node("Negotiated", `${e.format} in class ${e.class}`, leaf("format", e.open ? "left open by the URL, chosen by Accept" : "named by the URL"), leaf("vary", e.vary || "nothing")),
    node("Looked up", e.tier === "none" ? "not stored" : "in " + e.tier, leaf("key", e.key)),
    r && node(r.outcome === "made" ? "Made" : r.outcome === "present" ? "Was stored already" : "Not made", r.outcome === "made" ? `in ${ms(r.queue_ms + r.fetch_ms + r.transform_ms)}` : "",
      r.outcome === "made" && leaf("waited", ms(r.queue_ms)), r.outcome === "made" && leaf("fetched in", ms(r.fetch_ms)), r.outcome === "made" && leaf("decoded and encoded in", ms(r.transform_ms)), leaf("detail", r.detail)),
    a.sb && node("Original", `${a.sf || ""} ${a.sw} × ${a.sh}, ${bytes(+a.sb)}`),
    s.content_type && node("Encoded", `${s.content_type.replace("image/", "")} ${a.w} × ${a.h}, ${bytes(s.bytes)}`, leaf("quality", a.q), leaf("looks like", a.kind), leaf("share of print", a.print), leaf("target score", a.target),
      leaf("quality predicted by the trial", a.predicted), leaf("tried", a.tried), leaf("note", a.note), +a.sfr > 1 && leaf("frames", `${a.fr} of ${a.sfr}`), Object.entries(a).filter(([k]) => !known.has(k)).map(([k, v]) => leaf(k, v)), leaf("recipe", s.recipe)));
}

// ---- configuration ---------------------------------------------------------------------------------------------------------------

function config(page) {
  const box = h("pre", { class: "yaml", tabindex: 0, "aria-label": "Effective configuration" }), find = h("input", { type: "search", placeholder: "a key or a value", autocomplete: "off" }), shown = h("span", { class: "hint", role: "status" });
  const all = h("button", { type: "button", onclick: () => copy(text, "Configuration") }, "Copy");
  let text = "";
  const draw = () => {
    const q = find.value.trim().toLowerCase();
    let hits = 0, first = null;
    box.replaceChildren(...text.replace(/\n$/, "").split("\n").map((l) => {
      const m = /^(\s*(?:- )?)([A-Za-z0-9_.*-]+:)(.*)$/.exec(l), line = h("span", { class: "line" });
      const value = (v) => (/\*{3,}|masked|<secret>/i.test(v) ? h("span", { class: "masked" }, v) : v);
      if (m) line.append(m[1], h("span", { class: "k" }, m[2]), value(m[3]));
      else line.append(value(l) || "\n");
      if (q && l.toLowerCase().includes(q)) {
        hits++;
        line.classList.add("hit");
        first ||= line;
      }
      return line;
    }));
    shown.textContent = q ? `${count(hits)} line${hits === 1 ? "" : "s"}` : "";
    if (first) first.scrollIntoView({ block: "nearest" });
  };
  find.addEventListener("input", draw);
  page.body.append(pageHead("Config", all), h("p", { class: "soft" }, "The effective configuration of this instance: compiled defaults, then the file, then the environment. Secrets are masked. SIGHUP reloads it."),
    h("section", { class: "card stack" }, h("div", { class: "fields" }, field("Find", find)), shown, box));
  call("GET", "/v1/config", { headers: { Accept: "application/yaml" } }).then((r) => r.text()).then((t) => { text = t; draw(); }).catch(page.trouble);
}

// ---- begin -----------------------------------------------------------------------------------------------------------------------

async function begin() {
  try {
    me = await get("/console/session");
  } catch (e) {
    $("main").replaceChildren(alertOf(e), h("button", { type: "button", onclick: () => location.reload() }, "Try again"));
    return;
  }
  $("who").textContent = me.token;
  $("nav").append(...pages.map((p) => h("li", {}, h("a", { href: "#/" + p.name }, p.title))));
  $("logout").addEventListener("click", async () => {
    try { await call("POST", "/console/logout"); } catch (e) { console.error(e); }
    location.assign("/console/login");
  });
  document.querySelector(".skip").addEventListener("click", (e) => { e.preventDefault(); $("main").focus(); });
  addEventListener("hashchange", () => { open(); $("main").focus({ preventScroll: true }); scrollTo(0, 0); });
  open();
}
begin();
