/** The expiry of a URL that is signed now and valid for at least ttl seconds, in seconds since 1970. It is rounded up
 * to the next multiple of round (0 = a day, UTC), so that all viewers within that time share one URL. 0 = never, for a
 * ttl of 0 or less. */
export function expiry(now: number, ttl: number, round?: number): number;

export interface SignerConfig {
  /** The URL of the proxy, with its path prefix. */
  baseURL: string;
  /** The signing key in hexadecimal digits. It is a secret: never use it in a public page, sign on the server. */
  key: string;
  /** The signing salt in hexadecimal digits. */
  salt?: string;
  /** The id of a named key. */
  keyID?: string;
  /** The proxy's signing.signature_size. */
  signatureSize?: number;
  /** The proxy's signing.encryption_key in hexadecimal digits, for encryptedURL. */
  encryptionKey?: string;
  /** The clock, in seconds since 1970. */
  now?: () => number;
}

/** Makes signed URLs without calling the proxy. The constructor throws a TypeError or RangeError for invalid settings. */
export class Signer {
  constructor(config: SignerConfig);
  /** The signed URL of a variant of source: a URL, or "ref:" and an id from the proxy. options are those of the URL
   * ("rs:fit:480:0/net:2g", "pr:lite", or "lite" for a proxy that accepts only presets). The URL is valid for at least
   * ttl seconds (0 = for ever); see expiry. */
  url(source: string, options?: string, life?: { ttl?: number; round?: number }): Promise<string>;
  /** Like url, but the source is encrypted, so the URL does not reveal where the original is. Rejects without an
   * encryptionKey. */
  encryptedURL(source: string, options?: string, life?: { ttl?: number; round?: number }): Promise<string>;
  /** Returns "/signature" and the path, which must begin with a slash: for paths that the caller builds. */
  sign(path: string): Promise<string>;
}

/** A callback without a valid signature of the proxy. Answer it with 401 and do not act on it. */
export class BadSignature extends Error {}
/** A callback that was signed too long ago or in the future: it may be a replay. */
export class StaleSignature extends BadSignature {}

/** Checks a callback and resolves to its parsed JSON. secret is the text of a file that prewarm.callbacks.secrets names,
 * or several. body is the raw body, before any parsing. tolerance is in seconds. A callback may come more than once:
 * remember its webhook-id for a day. */
export function verifyWebhook(
  secret: string | string[],
  headers: Headers | Record<string, string | string[] | undefined>,
  body: string | ArrayBuffer | Uint8Array,
  options?: { tolerance?: number; now?: () => number },
): Promise<any>;

/** The server refused a call, or could not be reached (status 0). */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;
  /** After how many seconds to retry, if the server said so. */
  readonly retryAfter?: number;
  readonly requestID: string;
}

/** The name of a preset, or options under a name of your own. */
export type Variant = string | { name: string; options: string };

/** A Data Unit with other fields besides its data. */
export class Unit {
  constructor(data: object, more?: UnitFields);
}

export interface UnitFields {
  /** Default: the id in the data, or one that the server chooses. */
  id?: string;
  variants?: Variant[];
  select?: string[];
  /** The budget of this unit, in bytes. Default: that of the call. */
  budget?: number;
}

export interface PrewarmCall {
  /** Data Units: each a Unit, or the bare data. Use either units or urls. */
  units?: (Unit | object)[];
  /** Plain image URLs. */
  urls?: string[];
  /** Default: the presets that the server is configured with. */
  variants?: Variant[];
  /** Where a unit has its images, by JSONPath or JSON Pointer. */
  select?: string[];
  /** Maximum bytes of all images of one unit, in each variant and format. */
  budget?: number;
  /** Fetch sources again that are known to be broken. Otherwise they get the known verdict for an hour, without a fetch. */
  again?: boolean;
  priority?: "low" | "normal" | "high";
  deadline?: Date;
  /** The lifetime of the signed URLs in the response, and the time that their expiry is rounded up to, in seconds. */
  ttl?: number;
  round?: number;
  tags?: string[];
  returns?: "none" | "urls" | "rewritten" | "enriched";
  callback?: { url: string; events?: string[] };
  /** The idempotency key, which makes the call safe to repeat. Use an id that outlives the caller, such as a task's. */
  key?: string;
  /** How many seconds the response may wait for the verdicts, up to 60. */
  wait?: number;
  signal?: AbortSignal;
}

/** The state of a job; openapi.yaml describes the other fields. */
export interface Job {
  job: string;
  state: "queued" | "running" | "done" | "partial" | "failed" | "cancelled" | "expired";
  counts: Record<string, number>;
  [more: string]: unknown;
}

/** The state of an image or a variant. */
export type State = "pending" | "made" | "present" | "broken" | "failed" | "skipped" | "cancelled" | "expired";

/** What was found in one unit. */
export interface AcceptedUnit {
  index: number;
  id: string;
  /** Why the unit was not accepted; null if it was. */
  error: { code: string; detail: string; pointer?: string } | null;
  images: {
    pointer: string;
    source: string;
    state: State;
    /** A code, where it is broken, failed or skipped. */
    reason: string | null;
    variants: { name: string; format: string | null; url: string | null; state: State; bytes: number | null; width: number | null; height: number | null }[];
  }[];
  budget?: { bytes: number; share: number; used: number | null; over: boolean };
  [more: string]: unknown;
}

/** The result for one variant of one image in one format; openapi.yaml describes the other fields. */
export interface Verdict {
  index: number;
  id: string;
  pointer: string;
  source: string;
  name: string;
  format: string;
  state: State;
  /** A code, where it is broken, failed or skipped. */
  reason?: string;
  /** The share of the unit's budget, and whether even the lowest quality is larger. */
  budget?: number;
  over?: boolean;
  /** The measured SSIMULACRA2; absent if it was only predicted. */
  score?: number;
  [more: string]: unknown;
}

export interface ClientConfig {
  /** The URL of the private listener. */
  url: string;
  token: string;
  /** How often a call is tried if it fails for a temporary reason. Default 8. */
  attempts?: number;
  /** The longest pause between two tries, in seconds. Default 30. */
  maxPause?: number;
  fetch?: typeof globalThis.fetch;
  sleep?: (seconds: number, signal?: AbortSignal) => Promise<void>;
}

interface Abort {
  signal?: AbortSignal;
}

export interface OwnerUsage {
  /** Name of the token. */
  owner: string;
  /** Only quotas that the token has. */
  quota: { units_queued?: Remaining; images_a_day?: Remaining };
  /** The latest first, without days that have no usage. Bytes are those of the variants that were made. */
  days: {
    day: string; data_units: number; images: number; made: number; present: number; broken: number; failed: number; refused: number;
    bytes: { source: number; stored: number; saved: number };
  }[];
}

export interface Remaining {
  limit: number;
  used: number;
  remaining: number;
}

/** Calls the private listener. It retries temporary failures; every call is safe to repeat. */
export class Client {
  constructor(config: ClientConfig);
  /** Posts Data Units or URLs. When it resolves, the server has them on disk, and the signed URLs in the response work. */
  prewarm(call: PrewarmCall): Promise<Omit<Job, "job"> & { job: string | null; units: AcceptedUnit[] }>;
  /** The state of a job. With wait (up to 60 seconds) the response waits for the job's end. */
  job(id: string, options?: { wait?: number } & Abort): Promise<Job>;
  /** Polls until the job ends. each is called with every state. */
  wait(id: string, options?: { each?: (job: Job) => void } & Abort): Promise<Job>;
  /** Jobs, the latest first. */
  jobs(options?: Abort): AsyncGenerator<Job>;
  /** The verdicts of a job, page by page. */
  results(id: string, options?: { state?: string } & Abort): AsyncGenerator<Verdict>;
  /** Retries a job's failed and broken variants. */
  retry(id: string, options?: Abort): Promise<Job>;
  /** Cancels the part of a job that has not been started. */
  cancel(id: string, options?: Abort): Promise<Job>;
  /** The sources found broken since a time, the latest last. */
  broken(since: Date, options?: { limit?: number } & Abort): Promise<{ source: string; reason: string; at: string; count: number }[]>;
  /** The token's usage by day, and what is left of its quota; with scope admin that of every owner. */
  usage(options?: { owner?: string; days?: number } & Abort): Promise<OwnerUsage[]>;
  /** Reports what is stored, queued or broken, without any work. */
  check(call: { urls?: string[]; data_units?: object[]; keys?: string[]; variants?: Variant[]; select?: string[]; budget?: number } & Abort): Promise<Record<string, any>>;
  /** Removes variants everywhere. The response lists the CDN's tags. */
  purge(what: { source?: string; unit?: string; tag?: string; prefix?: string; all?: boolean } & Abort): Promise<Record<string, any>>;
}
