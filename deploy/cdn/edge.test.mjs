// Run by `make test`: node --test deploy/cdn. Goldcrest's Go tests check the tables in testdata/ against its own
// negotiation.
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import vm from "node:vm";
import { fold, foldAccept, parseAccept, site, slow, understand } from "./fold.mjs";
import { answer } from "./worker.mjs";

const here = import.meta.dirname ?? new URL(".", import.meta.url).pathname;
const read = (name) => readFileSync(join(here, name), "utf8");

function rows(text) {
  const [head, ...lines] = text.replace(/\n$/, "").split("\n").map((line) => line.split("\t"));
  return lines.map((line) => Object.fromEntries(head.map((name, i) => [name, line[i] ?? ""])));
}

const presets = JSON.parse(read("testdata/presets.json"));
const getter = (headers) => (name) => headers[name] || undefined;
const photo = "/S/w:480/aHR0cHM6Ly9leGFtcGxlLmNvbS9jYXQuanBn";
const chrome = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";

test("Accept is folded as the table says, and folding twice changes nothing", () => {
  for (const row of rows(read("testdata/accept.tsv"))) {
    const cfg = { formats: row.formats.split(","), unknown: row.unknown };
    assert.equal(foldAccept(row.accept, cfg), row.folded, `${row.accept} under ${row.formats}`);
    assert.equal(foldAccept(row.folded, cfg), row.folded);
  }
});

test("what lies past the bounds of a header is not read", () => {
  assert.equal(foldAccept("text/html,".repeat(64) + "image/avif", site), "image/jpeg,*/*;q=0.8");
  assert.equal(foldAccept(" ".repeat(4096) + "image/avif", site), "image/jpeg,*/*;q=0.8");
});

test("any header folds to one of few values", () => {
  const words = ["image/avif", "image/webp", "image/jpeg", "image/png", "image/gif", "image/*", "*/*", "text/html", "image/apng", "*"];
  const weights = ["", "", ";q=0", ";q=0.5", ";q=1", ";q=x", ";a=b;q=.3", ";q=0.000"];
  let seed = 1;
  const pick = (list) => list[(seed = (seed * 48271) % 2147483647) % list.length];
  const seen = new Set();
  for (let i = 0; i < 20000; i++) {
    const header = Array.from({ length: 1 + (i % 5) }, () => pick(words) + pick(weights)).join(",");
    const folded = foldAccept(header, site);
    seen.add(folded);
    assert.deepEqual(clean(parseAccept(folded, site)), clean(parseAccept(header, site)), header);
  }
  assert.ok(seen.size > 5 && seen.size <= 31, `${seen.size} values`);
});

function clean(a) {
  return [a.best, ...Object.keys(a.set).filter((f) => a.set[f]).sort()];
}

test("the corpus' vectors get a format that they name", { skip: corpus() ? false : "the corpus is absent (set GOLDCREST_CORPUS)" }, () => {
  for (const row of rows(readFileSync(corpus(), "utf8"))) {
    const header = row.accept === "(absent)" ? "" : row.accept;
    const { best, set } = parseAccept(foldAccept(header, site), site);
    const allowed = row.expected_media_type.replace(/, .*/, "").split(" or ").map((media) => media.slice("image/".length));
    const alpha = row.source.includes("alpha") && best === "jpeg" && set.png ? "png" : best;
    assert.ok(allowed.includes(alpha), `${row.id}: ${header} gives ${alpha}`);
  }
});

function corpus() {
  const file = join(process.env.GOLDCREST_CORPUS ?? join(here, "../../../shared/corpus"), "vectors/accept.tsv");
  return existsSync(file) ? file : "";
}

test("hints are slow or fast", () => {
  for (const row of rows(read("testdata/hints.tsv"))) {
    const get = getter({ "save-data": row.save_data, ect: row.ect, rtt: row.rtt, downlink: row.downlink });
    assert.equal(slow(site, get), row.slow === "yes", JSON.stringify(row));
  }
  assert.equal(slow({ slowRTT: 0, slowDownlink: 0 }, getter({ rtt: "9999", downlink: "0.1" })), false);
});

test("a path tells which headers matter", () => {
  for (const row of rows(read("testdata/paths.tsv"))) {
    for (const prefix of ["", "/img"]) {
      const got = understand({ ...site, presets, prefix }, prefix + row.path, row.query !== "");
      const want = { open: row.open === "yes", hints: row.hints === "yes", plain: row.plain === "yes" };
      assert.deepEqual(got, want, row.path);
    }
  }
  assert.equal(understand({ ...site, prefix: "/img" }, photo, false), null);
  assert.equal(fold(site, "/health", false, getter({})), null);
});

test("presets: unknown ones may be net:auto, the default one applies, those alone in a path count", () => {
  assert.equal(understand(site, photo.replace("w:480", "pr:mine"), false).hints, true);
  assert.equal(understand({ ...site, presets: { default: "f:webp" } }, photo, false).open, false);
  const only = { ...site, presets, onlyPresets: true };
  assert.deepEqual(understand(only, photo.replace("w:480", "auto:webp"), false), { open: false, hints: true, plain: false });
  assert.deepEqual(understand({ ...site, presets: { a: "pr:a" } }, photo.replace("w:480", "pr:a"), false), { open: true, hints: false, plain: false });
});

// --- CloudFront

const source = () => read("fold.mjs").replace(/^export /gm, "");
const marked = /(\/\/ --- fold\.mjs\n)[^]*(\/\/ --- end of fold\.mjs\n)/;

test("cloudfront.js holds fold.mjs and fits into a function", () => {
  const text = read("cloudfront.js");
  const want = text.replace(marked, (_, begin, end) => begin + source() + end);
  if (process.env.UPDATE) writeFileSync(join(here, "cloudfront.js"), want);
  else assert.equal(text, want, "run UPDATE=1 node --test deploy/cdn");
  assert.ok(want.length <= 10240, `${want.length} bytes; CloudFront takes 10,240`);
  assert.doesNotMatch(want, /=>|\?\?|\?\.|\bof\b .*\) \{|\.\.\./, "syntax that the runtime may lack");
});

function cloudfront(uri, headers, querystring = {}) {
  const context = vm.createContext({});
  vm.runInContext(read("cloudfront.js"), context);
  const event = { request: { method: "GET", uri, querystring, headers: {} } };
  for (const [name, value] of Object.entries(headers)) event.request.headers[name] = { value };
  return JSON.parse(JSON.stringify(context.handler(event)));
}

test("CloudFront: two browsers share an entry, an old one has its own", () => {
  const a = cloudfront(photo, { accept: chrome, "save-data": "on", host: "img.example" });
  const b = cloudfront(photo, { accept: "image/avif,image/webp,*/*", host: "img.example" });
  assert.deepEqual(a, b);
  assert.deepEqual(Object.keys(a.headers).sort(), ["accept", "host"]);
  assert.notEqual(cloudfront(photo, { accept: "image/jpeg" }).headers.accept.value, a.headers.accept.value);
});

test("CloudFront: explicit formats know no Accept, net:auto knows one token, queries go", () => {
  const fixed = cloudfront(photo + ".webp", { accept: chrome, ect: "2g" }, { utm: { value: "x" } });
  assert.deepEqual(Object.keys(fixed.headers), []);
  assert.deepEqual(fixed.querystring, {});
  const auto = cloudfront(photo.replace("w:480", "net:auto"), { accept: chrome, rtt: "600", downlink: "8" });
  assert.equal(auto.headers.ect.value, "3g");
  assert.deepEqual(Object.keys(auto.headers).sort(), ["accept", "ect"]);
  const plain = cloudfront("/S/plain/https://example.com/a.jpg", { accept: chrome }, { v: { value: "1" } });
  assert.deepEqual(Object.keys(plain.querystring), ["v"]);
  assert.equal(cloudfront("/robots.txt", { accept: chrome }).headers.accept.value, chrome);
  const many = cloudfront(photo, {});
  assert.equal(many.headers.accept.value, "image/jpeg,*/*;q=0.8");
});

// --- Cloudflare

class FakeCache {
  entries = new Map();
  async match(request) { return this.entries.get(request.url)?.clone(); }
  async put(request, response) { this.entries.set(request.url, response); }
}

function edge(status = 200) {
  const cache = new FakeCache(), asked = [], pending = [];
  const origin = async (request) => {
    asked.push(request);
    const type = (request.headers.get("accept") ?? "fixed").split(",")[0];
    return new Response(type, { status, headers: { "Content-Type": type, "Cache-Tag": "s-1", "Surrogate-Key": "s-1", Vary: "Accept" } });
  };
  const get = async (path, headers = {}, method = "GET") => {
    const response = await answer(new Request("https://img.example" + path, { headers, method }), site, cache, origin, (p) => pending.push(p));
    await Promise.all(pending);
    return response;
  };
  return { get, asked, cache };
}

test("Worker: equivalent browsers share an entry, and a JPEG client never gets the AVIF", async () => {
  const { get, asked } = edge();
  assert.equal(await (await get(photo, { Accept: chrome })).text(), "image/avif");
  const second = await get(photo + "?utm=1", { Accept: "image/avif,image/webp,*/*", "Save-Data": "on" });
  assert.equal(second.headers.get("Cache-Tag"), "s-1");
  assert.equal(second.headers.get("Surrogate-Key"), "s-1");
  assert.equal(asked.length, 1);
  assert.equal(await (await get(photo, { Accept: "image/jpeg" })).text(), "image/jpeg");
  assert.equal(await (await get(photo, { Accept: "image/jpeg" })).text(), "image/jpeg");
  assert.equal(asked.length, 2);
});

test("Worker: what reaches the proxy is folded and signed as it was", async () => {
  const { get, asked } = edge();
  await get(photo.replace("w:480", "net:auto"), { Accept: chrome, ECT: "4g", RTT: "700", Downlink: "5", "Sec-CH-Width": "400", Width: "400", "Sec-CH-DPR": "2", DPR: "2", Cookie: "a=b", Origin: "https://shop.example", Via: "1.1 x" });
  assert.equal(new URL(asked[0].url).pathname, photo.replace("w:480", "net:auto"));
  assert.equal(new URL(asked[0].url).search, "");
  const headers = Object.fromEntries(asked[0].headers);
  assert.deepEqual(headers, { accept: "image/avif,image/webp,*/*;q=0.8", ect: "3g" });
  await get(photo + ".png", { Accept: chrome, ECT: "2g" });
  assert.equal(asked[1].headers.get("accept"), null);
  await get("/S/plain/https://example.com/a.jpg?v=1", { Accept: chrome });
  assert.equal(new URL(asked[2].url).search, "?v=1");
});

test("Worker: parts, server errors, other methods and foreign paths are not kept", async () => {
  for (const status of [206, 503]) {
    const { get, asked } = edge(status);
    await get(photo, { Accept: chrome });
    await get(photo, { Accept: chrome });
    assert.equal(asked.length, 2, String(status));
  }
  const { get, asked, cache } = edge();
  await get(photo, {}, "HEAD");
  await get(photo, {}, "POST");
  await get("/health", { Accept: chrome });
  assert.equal(asked.length, 3);
  assert.equal(cache.entries.size, 0);
  assert.equal(asked[2].headers.get("accept"), chrome);
});
