// Callbacks: Standard Webhooks.
import { concat, hmacKey } from "./sign.js";

export class BadSignature extends Error {
  name = "BadSignature";
}

export class StaleSignature extends BadSignature {
  name = "StaleSignature";
}

const encoder = new TextEncoder();

export async function verifyWebhook(secret, headers, body, { tolerance = 300, now = () => Date.now() / 1000 } = {}) {
  const secrets = [secret].flat().map(readSecret);
  const get = typeof headers.get === "function" ? (name) => headers.get(name) ?? "" : fromObject(headers);
  const id = get("webhook-id");
  const stamp = get("webhook-timestamp");
  const bytes = typeof body === "string" ? encoder.encode(body) : new Uint8Array(body);
  const message = concat([encoder.encode(`${id}.${stamp}.`), bytes]);
  const given = get("webhook-signature").split(/\s+/).filter((s) => s.startsWith("v1,")).map((s) => decode(s.slice(3))).filter(Boolean);
  let signed = false;
  for (const bytes of secrets) {
    const key = await hmacKey(bytes);
    for (const signature of given) signed = (await crypto.subtle.verify("HMAC", key, signature, message)) || signed; // in constant time
  }
  if (!signed || !id || !/^[0-9]{1,15}$/.test(stamp)) throw new BadSignature("the callback is not signed with this secret");
  if (Math.abs(now() - Number(stamp)) > tolerance) throw new StaleSignature("the callback was not signed within the tolerated time");
  return JSON.parse(new TextDecoder().decode(bytes));
}

function fromObject(headers) {
  const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), [value].flat().join(",")]));
  return (name) => lower[name] ?? "";
}

function readSecret(text) {
  const secret = text.trim();
  if (!secret) throw new TypeError("the callback secret is empty");
  if (!secret.startsWith("whsec_")) return encoder.encode(secret);
  const key = decode(secret.slice("whsec_".length));
  if (!key?.length) throw new TypeError("the callback secret begins with whsec_, but base64 does not follow");
  return key;
}

// decode reads padded base64; undefined = not base64.
function decode(text) {
  if (!/^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) return undefined;
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}
