// Goldcrest behind Cloudflare: a Worker (module syntax) on the route of the image host. Cloudflare's cache does not
// look at Vary, so the Worker keeps the variants apart itself: it puts the result of fold.mjs into the key of the Cache
// API.
import { fold, site } from "./fold.mjs";

export default {
  async fetch(request, env, context) {
    return answer(request, site, caches.default, (toOrigin) => fetch(toOrigin), (work) => context.waitUntil(work));
  },
};

// answer serves one request from cache, or from the proxy through send. later takes work that may end after the
// response.
export async function answer(request, site, cache, send, later) {
  const url = new URL(request.url);
  const folded = fold(site, url.pathname, url.search !== "", (name) => request.headers.get(name) ?? undefined);
  if (!folded || (request.method !== "GET" && request.method !== "HEAD")) return send(request);
  if (!folded.query) url.search = "";
  const toOrigin = new Request(url, request);
  // The key has no client hints, so negotiation.client_hints has no effect behind this Worker.
  const dropped = ["Accept", "ECT", "Save-Data", "RTT", "Downlink", "Sec-CH-Width", "Width", "Sec-CH-DPR", "DPR", "Cookie", "Origin", "Via"];
  for (const name of dropped) toOrigin.headers.delete(name);
  if (folded.accept) toOrigin.headers.set("Accept", folded.accept);
  if (folded.ect) toOrigin.headers.set("ECT", folded.ect);
  if (request.method !== "GET") return send(toOrigin);

  const key = new URL(url); // has two parameters that the proxy does not get
  key.searchParams.set("edge-accept", folded.accept ?? "");
  key.searchParams.set("edge-ect", folded.ect ?? "");
  const found = await cache.match(new Request(key, toOrigin)); // handles Range and If-None-Match itself
  if (found) return found;
  const fresh = await send(toOrigin);
  // A partial response or a 304 is not complete, so it is not stored. The Cache API itself stores no response with
  // no-store.
  if (fresh.status !== 206 && fresh.status !== 304 && fresh.status < 500) later(cache.put(new Request(key), fresh.clone()));
  return fresh;
}
