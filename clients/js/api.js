// The private listener: Data Units and jobs.

const longestPoll = 25; // seconds that one response may wait

export class Refused extends Error {
  name = "Refused";
  constructor({ status, code, detail, retryable, retryAfter, requestID = "" }, options) {
    super(`${detail} (${status} ${code}${requestID && ", request " + requestID})`, options);
    Object.assign(this, { status, code, detail, retryable, retryAfter, requestID });
  }
}

// Unit is a Data Unit with other fields besides its data.
export class Unit {
  constructor(data, { id, variants, select, budget } = {}) {
    Object.assign(this, { data, id, variants, select, budget });
  }
}

const wrap = (unit) => (unit instanceof Unit ? unit : { data: unit });

export class Client {
  #url;
  #token;
  #attempts;
  #maxPause;
  #fetch;
  #sleep;

  constructor({ url, token, attempts = 8, maxPause = 30, fetch = globalThis.fetch, sleep = pause }) {
    if (!/^https?:\/\/[^/?#@]+[^?#@]*$/i.test(url ?? "")) throw new TypeError("the URL of the private listener is not an http or https URL");
    if (!/^[!-~]+$/.test(token ?? "")) throw new TypeError("the API needs a bearer token that may stand in a header");
    this.#url = url.replace(/\/+$/, "");
    this.#token = token;
    this.#attempts = attempts;
    this.#maxPause = maxPause;
    this.#fetch = (...args) => fetch(...args);
    this.#sleep = sleep;
  }

  async prewarm({ units = [], urls = [], key = crypto.randomUUID(), wait = 0, ttl = 0, round = 0, deadline, returns, signal, ...call }) {
    if ((units.length > 0) === (urls.length > 0)) throw new TypeError("a call has units or URLs: one of them");
    const body = { ...call, ttl: duration(ttl), round: duration(round), deadline: deadline?.toISOString(), return: returns };
    if (urls.length > 0) body.urls = urls;
    else Object.assign(body, { data_units: units.map(wrap), wrapped: true }); // Nothing inside a unit is a field of the call.
    return this.#json("POST", "/v1/prewarm", {
      body, signal, query: { body: "envelope" }, headers: { "Idempotency-Key": key, ...(wait > 0 && { Prefer: `wait=${Math.ceil(wait)}` }) },
    });
  }

  job(id, { wait = 0, signal } = {}) {
    return this.#json("GET", job(id), { query: wait > 0 ? { wait: Math.ceil(wait) } : {}, signal });
  }

  async wait(id, { each, signal } = {}) {
    for (;;) {
      const asked = Date.now();
      const state = await this.job(id, { wait: longestPoll, signal });
      each?.(state);
      if (state.state !== "queued" && state.state !== "running") return state;
      // A server that is shutting down answers early. It must not be polled without a pause.
      await this.#sleep(Math.max(0, 1 - (Date.now() - asked) / 1000), signal);
    }
  }

  async *jobs({ signal } = {}) {
    for (let cursor = ""; ; ) {
      const page = await this.#json("GET", "/v1/jobs", { query: cursor ? { cursor } : {}, signal });
      yield* page.jobs;
      if (!page.cursor) return;
      cursor = page.cursor;
    }
  }

  async *results(id, { state, signal } = {}) {
    const query = { limit: 1000, ...(state && { state }) };
    for (;;) {
      const answer = await this.#send("GET", job(id) + "/results", { query, signal });
      if (answer.text && !answer.text.endsWith("\n")) throw unreachable("the verdicts end in the middle of a line");
      for (const line of answer.text.split("\n")) if (line) yield parse(line);
      const next = /^<([^>]*)>.*rel="next"/.exec(answer.headers.get("Link") ?? "");
      const cursor = next && new URL(next[1], this.#url).searchParams.get("cursor");
      if (!cursor) return;
      query.cursor = cursor;
    }
  }

  retry(id, { signal } = {}) { return this.#json("POST", job(id) + "/retry", { signal }); }
  cancel(id, { signal } = {}) { return this.#json("DELETE", job(id), { signal }); }

  check({ signal, ...body }) {
    if (body.keys) return this.#json("POST", "/v1/check", { body, signal });
    if (body.data_units && !("wrapped" in body)) Object.assign(body, { data_units: body.data_units.map(wrap), wrapped: true });
    return this.#json("POST", "/v1/check", { body, signal, query: { body: "envelope" } });
  }

  purge({ signal, ...body }) { return this.#json("POST", "/v1/purge", { body, signal }); }

  async broken(since, { limit, signal } = {}) {
    return (await this.#json("GET", "/v1/broken", { query: { since: since.toISOString(), ...(limit && { limit }) }, signal })).broken;
  }

  async usage({ owner, days, signal } = {}) {
    return (await this.#json("GET", "/v1/usage", { query: { ...(owner && { owner }), ...(days && { days }) }, signal })).usage;
  }

  async #json(method, path, more) {
    return parse((await this.#send(method, path, more)).text);
  }

  // #send repeats a call until the response is complete, or the call is refused permanently.
  async #send(method, path, { query = {}, body, headers = {}, signal }) {
    const search = new URLSearchParams(query).toString();
    const target = this.#url + path + (search && "?" + search);
    const init = { method, signal, redirect: "error", headers: { ...headers, Authorization: `Bearer ${this.#token}` } };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers["Content-Type"] = "application/json";
    }
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(target, init);
      } catch (error) {
        if (!(error instanceof Refused) || !error.retryable || attempt >= this.#attempts || signal?.aborted) throw error;
        if (error.retryAfter > (this.#attempts - attempt) * this.#maxPause) throw error; // Longer than all remaining pauses.
        const jitter = Math.random() * 2 ** Math.min(attempt - 1, 5);
        await this.#sleep(Math.min(error.retryAfter === undefined ? jitter : error.retryAfter + jitter / 4, this.#maxPause), signal);
      }
    }
  }

  async #once(target, init) {
    let answer;
    try {
      answer = await this.#fetch(target, init);
      if (answer.ok) return { text: await answer.text(), headers: answer.headers };
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw unreachable(`the server does not answer: ${error.message}`, error);
    }
    throw await refusal(answer);
  }
}

// refusal reads a problem document; for any other body the status decides.
async function refusal(answer) {
  let problem = {};
  if (/^application\/problem\+json\b/.test(answer.headers.get("Content-Type") ?? "")) problem = (await answer.json().catch(() => null)) ?? {};
  const after = Number(answer.headers.get("Retry-After") ?? "");
  return new Refused({
    status: answer.status,
    code: problem.code ?? "no_problem_document",
    detail: problem.detail || problem.title || answer.statusText,
    retryable: problem.retryable ?? [429, 502, 503, 504].includes(answer.status),
    retryAfter: after > 0 ? after : undefined,
    requestID: problem.request_id,
  });
}

// parse reads a response's JSON. A body that is not JSON comes from something between client and server.
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refused({ status: 0, code: "not_json", detail: "the answer is not JSON: is there something else at the server's address?", retryable: false });
  }
}

function unreachable(detail, cause) {
  return new Refused({ status: 0, code: "connect_failed", detail, retryable: true }, { cause });
}

const job = (id) => "/v1/jobs/" + encodeURIComponent(id);
const duration = (seconds) => (seconds > 0 ? `${Math.round(seconds * 1000)}ms` : undefined);

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => (clearTimeout(timer), reject(signal.reason));
    const timer = setTimeout(() => (signal?.removeEventListener("abort", stop), resolve()), seconds * 1000);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}
