// Run by `make test`. The vectors are those of the Go package client.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { BadSignature, Client, expiry, Refused, Signer, StaleSignature, Unit, verifyWebhook } from "./goldcrest.js";

const vectors = (name) => JSON.parse(readFileSync(new URL(`../../client/testdata/${name}`, import.meta.url), "utf8"));

test("URLs are those of the Go client, and what it refuses is refused", async () => {
  for (const r of vectors("urls.json")) {
    const sign = async () => {
      const signer = new Signer({
        baseURL: r.base, key: r.key, salt: r.salt, keyID: r.key_id, signatureSize: r.signature_size, encryptionKey: r.encryption_key, now: () => r.now,
      });
      const life = { ttl: r.ttl, round: r.round };
      return r.encryption_key ? signer.encryptedURL(r.source, r.options, life) : signer.url(r.source, r.options, life);
    };
    if (r.url) assert.equal(await sign(), r.url, r.name);
    else await assert.rejects(sign, (e) => (e instanceof TypeError || e instanceof RangeError) && e.message.length > 10, r.name);
  }
});

test("viewers of one day share a URL", async () => {
  let now = 1773144000;
  const signer = new Signer({ baseURL: "http://localhost:8080", key: "ab", now: () => now });
  const first = await signer.url("http://a/", "w:5", { ttl: 3600 });
  now += 11 * 3600;
  assert.equal(await signer.url("http://a/", "w:5", { ttl: 3600 }), first);
  now += 1;
  assert.notEqual(await signer.url("http://a/", "w:5", { ttl: 3600 }), first);
  assert.equal(expiry(now, 0), 0);
  await assert.rejects(signer.encryptedURL("http://a/"), TypeError);
});

const corpus = `${process.env.GOLDCREST_CORPUS ?? "../../../shared/corpus"}/vectors/signature.tsv`;

test("the corpus' signatures", { skip: existsSync(corpus) ? false : "the corpus is absent (set GOLDCREST_CORPUS)" }, async () => {
  const [head, ...rows] = readFileSync(corpus, "utf8").trimEnd().split("\n").map((line) => line.split("\t"));
  let checked = 0;
  for (const values of rows) {
    const r = Object.fromEntries(head.map((name, i) => [name, values[i]]));
    if (r.hash !== "sha256" || r.base64url !== "unpadded" || r.cut_to || !r.message.startsWith("/")) continue;
    const signer = new Signer({ baseURL: "http://a", key: r.key_hex, salt: r.salt_hex });
    assert.equal(await signer.sign(r.message), `/${r.signature}${r.message}`, r.id);
    checked++;
  }
  assert.ok(checked >= 2);
});

test("callbacks are believed as the Go client does", async () => {
  for (const r of vectors("webhooks.json")) {
    const check = () => verifyWebhook(r.secret, { "Webhook-Id": r.id, "Webhook-Timestamp": r.at, "Webhook-Signature": r.signature }, r.body,
      { tolerance: r.tolerance || undefined, now: () => r.now });
    if (r.want === "ok") assert.deepEqual(await check(), JSON.parse(r.body), r.name);
    else await assert.rejects(check, { bad: (e) => e.constructor === BadSignature, stale: StaleSignature, secret: TypeError }[r.want], r.name);
  }
  const r = vectors("webhooks.json")[0];
  const headers = new Headers({ "webhook-id": r.id, "webhook-timestamp": r.at, "webhook-signature": r.signature });
  const body = new TextEncoder().encode(r.body);
  assert.deepEqual(await verifyWebhook(["another secret", r.secret], headers, body, { now: () => r.now }), JSON.parse(r.body));
});

// client is a Client whose server returns the given answers in turn; it records calls and pauses.
function client(answers, more = {}) {
  const calls = [], pauses = [];
  const fetch = async (url, init) => {
    calls.push({ url, ...init, body: init.body && JSON.parse(init.body) });
    const next = answers.shift();
    if (next instanceof Error) throw next;
    return next;
  };
  return { api: new Client({ url: "http://gc:8081/", token: "t0ken", fetch, sleep: async (s) => void pauses.push(s), ...more }), calls, pauses };
}

const json = (body, status = 200, headers = {}) => new Response(JSON.stringify(body), { status, headers });
const problem = (status, body, headers) => json(body, status, { "Content-Type": "application/problem+json", ...headers });

test("units are posted, again after what passes by itself, with one key", async () => {
  const { api, calls, pauses } = client([new TypeError("fetch failed"), problem(429, { code: "queue_full", retryable: true }, { "Retry-After": "7" }), json({ job: "j1" }, 202)]);
  const answer = await api.prewarm({ units: [{ photo: "https://a/1.jpg" }, new Unit({ x: 1 }, { id: "u2", budget: 9000 })], variants: ["lite"], budget: 120000, again: true, ttl: 3600, round: 60, returns: "enriched", wait: 0.5, deadline: new Date(0) });
  assert.equal(answer.job, "j1");
  assert.equal(calls.length, 3);
  assert.equal(new Set(calls.map((c) => c.headers["Idempotency-Key"])).size, 1);
  assert.ok(pauses[0] < 1 && pauses[1] >= 7 && pauses[1] < 8, String(pauses));
  const { url, method, headers, body } = calls[2];
  assert.equal(`${method} ${url}`, "POST http://gc:8081/v1/prewarm?body=envelope");
  assert.equal(headers.Authorization, "Bearer t0ken");
  assert.equal(headers.Prefer, "wait=1");
  assert.deepEqual(body, { variants: ["lite"], budget: 120000, again: true, ttl: "3600000ms", round: "60000ms", return: "enriched", deadline: "1970-01-01T00:00:00.000Z", data_units: [{ data: { photo: "https://a/1.jpg" } }, { data: { x: 1 }, id: "u2", budget: 9000 }], wrapped: true });
});

test("a pause that is longer than all that are left is not begun", async () => {
  const { api, calls } = client([problem(429, { code: "quota_exceeded", retryable: true }, { "Retry-After": "3600" })]);
  await assert.rejects(api.prewarm({ urls: ["http://a/"] }), (e) => e instanceof Refused && e.code === "quota_exceeded" && e.retryAfter === 3600);
  assert.equal(calls.length, 1);
});

test("refusals for good are not repeated, and tries end", async () => {
  const good = client([problem(422, { code: "bad_selector", detail: "no", retryable: false, request_id: "r1" })]);
  await assert.rejects(good.api.prewarm({ urls: ["http://a/"] }), (e) => e instanceof Refused && e.status === 422 && e.code === "bad_selector" && e.message.includes("r1"));
  const dead = client(Array.from({ length: 9 }, () => new Response("", { status: 503 })), { attempts: 3 });
  await assert.rejects(dead.api.job("a/b"), (e) => e.retryable && e.code === "no_problem_document");
  assert.equal(dead.calls.length, 3);
  assert.equal(dead.calls[0].url, "http://gc:8081/v1/jobs/a%2Fb");
  await assert.rejects(client([]).api.prewarm({}), TypeError);
  for (const config of [{ url: "gc:8081", token: "t" }, { url: "http://gc", token: "" }, { url: "http://gc", token: "a b" }, { url: "http://u:s3cret@gc", token: "t" }]) {
    assert.throws(() => new Client(config), (e) => e instanceof TypeError && !e.message.includes("s3cret"));
  }
});

test("an answer that breaks off is asked for again, one that is no JSON is not", async () => {
  const cut = () => new Response(new ReadableStream({ start: (c) => c.error(new TypeError("terminated")) }));
  const { api, pauses } = client([cut(), json({ job: "j" }), cut(), new Response('{"index":0}\n'), problem(502, null), json({ job: "j" }), new Response("<html>")]);
  assert.deepEqual(await api.job("j"), { job: "j" });
  const verdicts = [];
  for await (const v of api.results("j")) verdicts.push(v.index);
  assert.deepEqual(verdicts, [0]);
  assert.deepEqual(await api.job("j"), { job: "j" });
  assert.equal(pauses.length, 3);
  await assert.rejects(api.job("j"), (e) => e instanceof Refused && e.code === "not_json" && !e.retryable);
});

test("a job is polled until it ends, its verdicts are read page by page", async () => {
  const { api, calls } = client([
    json({ job: "j", state: "running" }), json({ job: "j", state: "partial" }),
    new Response('{"state":"broken","index":0}\n', { headers: { Link: '</v1/jobs/j/results?cursor=c%2B1>; rel="next"' } }),
    new Response('{"state":"broken","index":1}\n'),
  ]);
  const seen = [];
  assert.equal((await api.wait("j", { each: (j) => seen.push(j.state) })).state, "partial");
  assert.deepEqual(seen, ["running", "partial"]);
  const verdicts = [];
  for await (const v of api.results("j", { state: "broken" })) verdicts.push(v.index);
  assert.deepEqual(verdicts, [0, 1]);
  assert.equal(calls[3].url, "http://gc:8081/v1/jobs/j/results?limit=1000&state=broken&cursor=c%2B1");
  const cut = client([new Response('{"state":"bro')]);
  await assert.rejects(async () => { for await (const v of cut.api.results("j")) assert.fail(String(v)); }, Refused);
});

test("lists, broken sources, check and purge", async () => {
  const { api, calls } = client([json({ jobs: [{ job: "a" }], cursor: "2" }), json({ jobs: [{ job: "b" }] }), json({ broken: [{ source: "s" }] }), json({ usage: [{ owner: "shop" }] }), json({ checked: [] }), json({ purged: 1 }), json({}), json({})]);
  const jobs = [];
  for await (const j of api.jobs()) jobs.push(j.job);
  assert.deepEqual(jobs, ["a", "b"]);
  assert.equal((await api.broken(new Date(0), { limit: 5 }))[0].source, "s");
  assert.equal((await api.usage({ owner: "shop", days: 3 }))[0].owner, "shop");
  await api.check({ urls: ["http://a/"] });
  assert.equal((await api.purge({ source: "http://a/" })).purged, 1);
  await api.retry("j");
  await api.cancel("j");
  assert.deepEqual(calls.slice(1).map((c) => `${c.method} ${c.url.slice(14)}`), ["GET /v1/jobs?cursor=2",
    "GET /v1/broken?since=1970-01-01T00%3A00%3A00.000Z&limit=5", "GET /v1/usage?owner=shop&days=3", "POST /v1/check?body=envelope", "POST /v1/purge", "POST /v1/jobs/j/retry", "DELETE /v1/jobs/j"]);
});

test("check has units read as prewarm does", async () => {
  const { api, calls } = client([json({}), json({})]);
  await api.check({ data_units: [{ id: 1, data: { keys: ["x"] } }] });
  await api.check({ keys: ["v1/a"] });
  assert.deepEqual(calls.map((c) => c.url.slice(14)), ["/v1/check?body=envelope", "/v1/check"]);
  assert.deepEqual(calls[0].body, { data_units: [{ data: { id: 1, data: { keys: ["x"] } } }], wrapped: true });
  assert.deepEqual(calls[1].body, { keys: ["v1/a"] });
});
