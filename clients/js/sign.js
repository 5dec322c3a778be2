// Signed URLs, made without calling the proxy.

const day = 24 * 60 * 60;
const longest = 16 << 10; // bytes of a source's URL
const encoder = new TextEncoder();

export function expiry(now, ttl, round = 0) {
  if (!(ttl > 0)) return 0;
  const step = round > 0 ? Math.max(Math.floor(round), 1) : day;
  return Math.ceil(Math.ceil(now + ttl) / step) * step;
}

export class Signer {
  #base;
  #prefix;
  #salt;
  #size;
  #now;
  #key; // a promise
  #sources; // a promise of the function that encrypts sources; undefined = there is no key

  constructor({ baseURL, key, salt = "", keyID = "", signatureSize = 32, encryptionKey = "", now = () => Date.now() / 1000 }) {
    if (!/^https?:\/\/[^/?#]+[^?#]*$/i.test(baseURL ?? "")) throw new TypeError("the base URL is not an http or https URL with a host and no query");
    if (!/^[A-Za-z0-9_-]{0,64}$/.test(keyID)) throw new TypeError("a key id holds at most 64 letters, digits, '-' and '_'");
    this.#size = signatureSize || 32;
    if (this.#size < 16 || this.#size > 32) throw new RangeError("the signature size is not from 16 to 32 bytes");
    const secret = unhex("key", key);
    if (secret.length === 0) throw new TypeError("the key is empty");
    this.#base = baseURL.replace(/\/+$/, "");
    this.#prefix = keyID ? keyID + "." : "";
    this.#salt = unhex("salt", salt);
    this.#now = now;
    this.#key = hmacKey(secret);
    const sources = unhex("encryption key", encryptionKey);
    if (![0, 16, 24, 32].includes(sources.length)) throw new RangeError("the encryption key has not 16, 24 or 32 bytes");
    if (sources.length > 0) this.#sources = sourceCipher(sources);
  }

  async url(source, options = "", life = {}) {
    const id = /^ref:([0-9a-f]{32})$/.exec(source)?.[1];
    return this.#url(options, id ? "ref/" + id : base64url(encoder.encode(parseSource(source))), life);
  }

  async encryptedURL(source, options = "", life = {}) {
    if (!this.#sources) throw new TypeError("there is no encryption key");
    const encrypt = await this.#sources;
    return this.#url(options, "enc/" + base64url(await encrypt(encoder.encode(parseSource(source)))), life);
  }

  async #url(options, target, { ttl = 0, round = 0 }) {
    if (/[^!-~]|[?#]/.test(options)) throw new TypeError("options contain a character that is not allowed in a URL's path");
    const end = expiry(this.#now(), ttl, round);
    const parts = [options.replace(/^\/+|\/+$/g, ""), end ? `exp:${end}` : "", target];
    return this.#base + (await this.sign("/" + parts.filter(Boolean).join("/")));
  }

  async sign(path) {
    if (!path.startsWith("/")) throw new TypeError("a path to sign must begin with a slash");
    const mac = await hmac(await this.#key, [this.#salt, encoder.encode(path)]);
    return "/" + this.#prefix + base64url(mac.subarray(0, this.#size)) + path;
  }
}

// sourceCipher returns a function that encrypts sources for the proxy: AES-CBC with the IV in front. The IV is a keyed
// hash of the source, so that one source always has the same URL.
async function sourceCipher(secret) {
  const key = await crypto.subtle.importKey("raw", secret, "AES-CBC", false, ["encrypt"]);
  const ivKey = await hmacKey(await hmac(await hmacKey(secret), [encoder.encode("goldcrest source iv")]));
  return async (source) => {
    const iv = (await hmac(ivKey, [source])).subarray(0, 16);
    return concat([iv, new Uint8Array(await crypto.subtle.encrypt({ name: "AES-CBC", iv }, key, source))]);
  };
}

// parseSource checks the URL of an original and returns the URL to fetch, as the proxy does: without its fragment,
// unsafe bytes escaped.
export function parseSource(raw) {
  const text = binary(encoder.encode(raw)); // one character for each byte
  if (text.length > longest) throw new TypeError("the source's URL is too long");
  if (/[\x00-\x1f\x7f]/.test(text)) throw new TypeError("the source's URL contains a control character");
  const match = /^(https?):\/\/([^/?]*)([^?]*)([^]*)$/i.exec(text.replace(/#[^]*$/, ""));
  if (!match) throw new TypeError("the source is not an http or https URL");
  const [, scheme, authority, path, query] = match;
  if (authority.includes("@")) throw new TypeError("the source's URL contains a user name");
  if (!validAuthority(authority)) throw new TypeError("the source's URL has no valid host");
  const source = `${scheme}://${authority}${escape(path, true)}${escape(query, false)}`;
  if (source.length > longest) throw new TypeError("the source's URL is too long");
  return source;
}

function validAuthority(authority) {
  const colon = authority.endsWith("]") ? -1 : authority.lastIndexOf(":");
  const host = colon < 0 ? authority : authority.slice(0, colon);
  const port = colon < 0 ? "" : authority.slice(colon + 1);
  if (port && !(/^[0-9]+$/.test(port) && Number(port) > 0 && Number(port) < 1 << 16)) return false;
  const name = host.startsWith("[") ? /^\[([A-Za-z0-9:.]+)\]$/.exec(host)?.[1] : /^[A-Za-z0-9._-]+$/.exec(host)?.[0];
  return name !== undefined && name.length <= 253 && /[^.]/.test(name);
}

function escape(text, path) {
  const unsafe = path ? /[^A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]|%(?![0-9A-Fa-f]{2})/g : /[^A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]/g;
  return text.replace(unsafe, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0"));
}

function unhex(name, digits) {
  if (typeof digits !== "string" || !/^([0-9a-fA-F]{2})*$/.test(digits)) throw new TypeError(`the ${name} is not in hexadecimal digits`);
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

const binary = (bytes) => Array.from(bytes, (b) => String.fromCharCode(b)).join("");
const base64url = (bytes) => btoa(binary(bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

export const hmacKey = (secret) => crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);

export function concat(parts) {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  parts.reduce((at, p) => (all.set(p, at), at + p.length), 0);
  return all;
}

async function hmac(key, parts) {
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, concat(parts)));
}
