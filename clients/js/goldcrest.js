// Goldcrest for JavaScript: signed URLs, Data Units, callbacks. No dependencies; node 20 or later, and any runtime with WebCrypto and
// fetch. goldcrest.d.ts documents every name.
export { Client, Refused, Unit } from "./api.js";
export { expiry, Signer } from "./sign.js";
export { BadSignature, StaleSignature, verifyWebhook } from "./webhook.js";
