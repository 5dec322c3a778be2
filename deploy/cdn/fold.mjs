// Replaces a browser's headers by the few values that Goldcrest distinguishes, so that a cache keeps each variant once.
// No imports and only syntax of CloudFront's runtime 2.0: cloudfront.js contains a copy of this file.

// The settings of the proxy that the code below needs: copy them from your config.yaml.
export const site = {
  prefix: "",                         // server.path_prefix
  formats: ["avif", "webp", "jpeg"],  // negotiation.formats
  unknown: "jpeg",                    // negotiation.unknown
  presets: {},                        // presets; one that is missing here counts as open and net:auto
  onlyPresets: false,                 // only_presets
  slowRTT: 400,                       // net:auto: a round trip of this many milliseconds is slow; 0 = not checked
  slowDownlink: 1,                    // net:auto: less than this many Mbit/s is slow; 0 = not checked
};

// fold returns what to send to the proxy instead of the browser's headers. get(name) returns a request header or
// undefined. The result has accept and ect (undefined = no such header) and query (false = drop it). It is null if the
// path is not an image URL.
export function fold(site, path, hasQuery, get) {
  const asked = understand(site, path, hasQuery);
  return asked && {
    accept: asked.open ? foldAccept(get("accept") || "", site) : undefined,
    ect: asked.hints && slow(site, get) ? "3g" : undefined,
    query: asked.plain,
  };
}

// understand finds out of an image path which headers matter.
export function understand(site, path, hasQuery) {
  if (path.indexOf(site.prefix + "/") !== 0) return null;
  const parts = path.slice(site.prefix.length + 1).split("/");
  if (parts.length < 2) return null;
  const state = { open: true, hints: false };
  applyOption(site, state, "preset:default", 0);
  let i = 1; // 0 is the signature
  if (site.onlyPresets) applyOption(site, state, "preset:" + parts[i++], 0);
  for (; i < parts.length; i++) {
    const option = parts[i].replace(/%3a/gi, ":");
    if (option.indexOf(":") < 0) break;
    applyOption(site, state, option, 0);
  }
  const plain = parts[i] === "plain" && i + 1 < parts.length;
  const rest = parts.slice(i).join("/");
  // With a query, only the signature tells whether "@webp" belongs to the source. Such a URL counts as open.
  const fixed = plain ? !hasQuery && /@(jpe?g|png|webp|avif|jxl|gif)$/i.test(rest) : rest.indexOf(".") >= 0;
  return { open: state.open && !fixed, hints: state.hints, plain: plain };
}

function applyOption(site, state, option, depth) {
  const args = option.split(":");
  const name = args.shift();
  if (name === "f" || name === "format" || name === "ext") state.open = false;
  if (name === "net") state.hints = args[0] === "auto";
  if (name !== "pr" && name !== "preset" || depth > 8) return;
  args.forEach(function (preset) {
    const text = site.presets[preset];
    if (text === undefined) {
      if (preset !== "default") state.hints = true;
      return;
    }
    text.split("/").forEach(function (inner) { applyOption(site, state, inner, depth + 1); });
  });
}

// slow reports whether the client's hints say that its network is slow or expensive.
export function slow(site, get) {
  const word = function (name) { return (get(name) || "").trim().toLowerCase(); };
  const number = function (name) { return /^\d+(\.\d+)?$/.test(word(name)) ? Number(word(name)) : NaN; };
  return word("save-data") === "on" || ["slow-2g", "2g", "3g"].indexOf(word("ect")) >= 0 ||
    site.slowRTT > 0 && number("rtt") >= site.slowRTT || site.slowDownlink > 0 && number("downlink") < site.slowDownlink;
}

// foldAccept replaces an Accept header by the one that represents all headers with the same response.
export function foldAccept(header, site) {
  const a = parseAccept(header, site);
  const out = [];
  const at = function (f) { return site.formats.indexOf(f); };
  const behind = function (f) { return at(f) < at(a.best) ? ";q=0.9" : ""; }; // the configured order decides a tie
  if (a.best === "jxl") out.push("image/jxl");
  if (a.best === "avif" || a.best === "jxl" && a.set.avif) out.push("image/avif" + behind("avif"));
  if (a.best === "avif" || a.best === "jxl") out.push("image/webp" + (a.set.webp ? behind("webp") : ";q=0"));
  else if (a.best === "webp") out.push("image/webp");
  else if (a.best === "jpeg" && !a.set.png && !a.set.gif) return "image/jpeg";
  else out.push(a.best === "jpeg" && a.set.png ? "image/jpeg" : "image/webp;q=0");
  ["jpeg", "png", "gif"].forEach(function (f) { if (!a.set[f]) out.push("image/" + f + ";q=0"); });
  return out.concat("*/*;q=0.8").join(",");
}

// parseAccept reads the header as Goldcrest does: the format to try first, and the formats that the response may have.
export function parseAccept(header, site) {
  const w = parseWeights(header);
  const weight = function (f) { return w[f] !== undefined ? w[f] : w.image !== undefined ? w.image : w.any; };
  const named = ["jpeg", "png", "webp", "avif", "jxl", "gif"].some(function (f) { return w[f] !== undefined; });
  let best = "", most = 0;
  site.formats.concat("jpeg").forEach(function (name) {
    const f = name.toLowerCase() === "jpg" ? "jpeg" : name.toLowerCase();
    if (w[f] > most) { best = f; most = w[f]; }
  });
  let set = { png: true, jpeg: true, gif: true };
  if (best === "avif" || best === "jxl") {
    set[best] = true;
    set.webp = site.formats.indexOf("webp") >= 0;
    if (w.avif > 0 && site.formats.indexOf("avif") >= 0) set.avif = true;
  } else if (best === "webp") set.webp = true;
  else if (w.jpeg > 0 && !(weight("png") > 0)) set = { jpeg: true };
  else if (best === "" && site.unknown === "webp" && (!named || weight("webp") > 0)) {
    best = "webp";
    set.webp = true;
  }
  Object.keys(set).forEach(function (f) { if (weight(f) === 0) set[f] = false; });
  const first = [best || "jpeg", "webp", "jpeg", "png", "gif"].filter(function (f) { return set[f]; })[0];
  return first ? { best: first, set: set } : { best: "jpeg", set: { jpeg: true } };
}

// parseWeights reads the weights, in thousandths, of the image formats and wildcards that a header names.
function parseWeights(header) {
  const w = {};
  header.slice(0, 4096).split(",").slice(0, 64).forEach(function (element) {
    const parts = element.split(";");
    const media = parts.shift().trim().toLowerCase();
    const q = readWeight(parts);
    if (q < 0) return;
    if (media === "*/*" || media === "*") w.any = q;
    else if (media === "image/*") w.image = q;
    else if (media === "image/jpg") w.jpeg = q;
    else if (/^image\/(jpeg|png|webp|avif|jxl|gif)$/.test(media)) w[media.slice(6)] = q;
  });
  return w;
}

// readWeight is -1 if the weight is not valid.
function readWeight(parameters) {
  for (let i = 0; i < parameters.length; i++) {
    const at = parameters[i].indexOf("=");
    if (at < 0 ? parameters[i].trim().toLowerCase() === "q" : parameters[i].slice(0, at).trim().toLowerCase() === "q") {
      const text = at < 0 ? "" : parameters[i].slice(at + 1).trim();
      const q = Math.round(1000 * Number(text));
      return /^([01](\.\d{0,3})?|\.\d{1,3})$/.test(text) && q <= 1000 ? q : -1;
    }
  }
  return 1000;
}
