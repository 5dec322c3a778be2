// Signs sources with published clients of imgproxy and prints [{client, source, url}]. Arguments: the folder that they are installed
// in, the proxy's URL; key, salt and encryption key in hexadecimal digits; the sources.
import { createRequire } from "node:module";
import { Signer } from "../../clients/js/goldcrest.js";

const [folder, proxy, key, salt, encryptionKey, ...sources] = process.argv.slice(2);
const require = createRequire(folder + "/");
const { generateUrl } = require("@imgproxy/imgproxy-js-core");
const { generateImageUrl } = require("@imgproxy/imgproxy-node");
const { default: Imgproxy } = require("imgproxy");
const { default: builder } = require("@bitpatty/imgproxy-url-builder");

const options = { resizing_type: "fit", width: 120, quality: 70, gravity: { type: "no" }, enlarge: 0, format: "webp" };
const clients = {
  // It leaves signing and base64 to others: here our own client signs.
  "@imgproxy/imgproxy-js-core": (source, type) => {
    const value = type === "base64" ? Buffer.from(source).toString("base64url") : source;
    return new Signer({ baseURL: proxy, key, salt }).sign(generateUrl({ value, type }, options)).then((path) => proxy + path);
  },
  "@imgproxy/imgproxy-node": (source, type) => generateImageUrl({ endpoint: proxy, url: { value: source, displayAs: type }, options, key, salt }),
  imgproxy: (source, type) =>
    new Imgproxy({ baseUrl: proxy, key, salt, encode: type === "base64" }).builder().resize("fit", 120).quality(70).gravity("no").format("webp").generateUrl(source),
  "@bitpatty/imgproxy-url-builder": (source, type) =>
    builder().resize({ type: "fit", width: 120 }).quality(70).gravity({ type: "no" }).format("webp")
      .build({ path: source, plain: type === "plain", baseUrl: proxy, signature: { key, salt } }),
};

// Those that encrypt sources, with an IV of their own choice. Published ones encode what is beyond ASCII twice: it comes escaped.
const encrypting = {
  "@imgproxy/imgproxy-node encrypted": (source) =>
    generateImageUrl({ endpoint: proxy, url: { value: new URL(source).href, displayAs: "encrypted" }, options, key, salt, encryptKey: encryptionKey }),
  "clients/js encrypted": (source) =>
    new Signer({ baseURL: proxy, key, salt, encryptionKey }).encryptedURL(source, "rs:fit:120/q:70/g:no/el:0/f:webp"),
};

const urls = [];
for (const source of sources) {
  for (const [client, sign] of Object.entries(clients)) {
    for (const type of ["plain", "base64"]) {
      // As a browser asks for it: with what may not stand in a URL escaped.
      urls.push({ client: `${client} ${type}`, source, url: new URL(await sign(source, type)).href });
    }
  }
  for (const [client, sign] of Object.entries(encrypting)) urls.push({ client, source, url: await sign(source) });
}
console.log(JSON.stringify(urls));
