/** When a URL signed now for at least ttl seconds should expire, in seconds since 1970: rounded up to the next multiple of round
 * (0 = a day, UTC), so that everybody who asks within that time shares one URL. 0 = never, for a ttl of 0 or less. */
export function expiry(now: number, ttl: number, round?: number): number;

export interface SignerConfig {
  /** Where the proxy is reached, with its path prefix. */
  baseURL: string;
  /** The signing key in hexadecimal digits. It is a secret: in a page that anyone may read, sign on the server. */
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

/** Makes signed URLs without asking the proxy. Its constructor throws a TypeError or RangeError for what cannot work. */
export class Signer {
  constructor(config: SignerConfig);
  /** The signed URL of a variant of source, a URL or "ref:" and an id that the proxy has given. options is what stands in the URL ("rs:fit:480:0/net:2g", "pr:lite", or "lite" for a
   * proxy that takes only presets). It works for at least ttl seconds (0 = for ever) and expires as expiry says. */
  url(source: string, options?: string, life?: { ttl?: number; round?: number }): Promise<string>;
  /** url with the source encrypted: who reads the URL does not learn where the original is. Rejects without an encryptionKey. */
  encryptedURL(source: string, options?: string, life?: { ttl?: number; round?: number }): Promise<string>;
  /** "/signature" and the path, which begins with a slash: for paths put together by the caller. */
  sign(path: string): Promise<string>;
}

/** A callback that was not proven to come from the proxy. Answer it with 401 and do not act on it. */
export class BadSignature extends Error {}
/** A callback that is signed, but too long ago or in the future: somebody may have recorded it. */
export class StaleSignature extends BadSignature {}

/** Checks a callback and resolves to what its JSON says. secret is the text of a file that prewarm.callbacks.secrets names, or several.
 * body is as it came, before any parsing. tolerance is in seconds. A callback may come more than once: remember its webhook-id for a day. */
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
  /** Whether the same call may succeed later, */
  readonly retryable: boolean;
  /** and in how many seconds, if the server said so. */
  readonly retryAfter?: number;
  readonly requestID: string;
}

/** The name of a preset, or options under a name of your own. */
export type Variant = string | { name: string; options: string };

/** A Data Unit with something to say beside its data. */
export class Unit {
  constructor(data: object, more?: UnitFields);
}

export interface UnitFields {
  /** Default: the one in the data, or one given by the server. */
  id?: string;
  variants?: Variant[];
  select?: string[];
  /** Bytes of this unit alone. Default: the call's. */
  budget?: number;
}

export interface PrewarmCall {
  /** Data Units: a Unit, or the data as it is; or */
  units?: (Unit | object)[];
  /** plain image URLs. */
  urls?: string[];
  /** Default: the presets that the server is configured with. */
  variants?: Variant[];
  /** Where images stand in a unit, by JSONPath or JSON Pointer. */
  select?: string[];
  /** Bytes that the images of one unit may have together, in each variant and format. */
  budget?: number;
  /** Look again at sources that are known to be broken; else they are answered for an hour without a fetch. */
  again?: boolean;
  priority?: "low" | "normal" | "high";
  deadline?: Date;
  /** Life of the signed URLs in the answer, in seconds, and what their expiry is rounded up to. */
  ttl?: number;
  round?: number;
  tags?: string[];
  returns?: "none" | "urls" | "rewritten" | "enriched";
  callback?: { url: string; events?: string[] };
  /** Makes the call safe to repeat: take something that survives the caller, such as a task's id. */
  key?: string;
  /** How many seconds the server may hold its answer back for the verdicts, up to 60. */
  wait?: number;
  signal?: AbortSignal;
}

/** The state of a job; openapi.yaml describes the rest of it. */
export interface Job {
  job: string;
  state: "queued" | "running" | "done" | "partial" | "failed" | "cancelled" | "expired";
  counts: Record<string, number>;
  [more: string]: unknown;
}

/** What became of an image or a variant. */
export type State = "pending" | "made" | "present" | "broken" | "failed" | "skipped" | "cancelled" | "expired";

/** What was found in one unit. */
export interface AcceptedUnit {
  index: number;
  id: string;
  /** Why the unit was not accepted; null: it was. */
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

/** What became of one variant of one image in one format; openapi.yaml describes the rest of it. */
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
  /** SSIMULACRA2 that was measured; absent where it was foretold. */
  score?: number;
  [more: string]: unknown;
}

export interface ClientConfig {
  /** Where the private listener is reached. */
  url: string;
  token: string;
  /** How often a call is tried when its failure would pass by itself. Default 8. */
  attempts?: number;
  /** Bounds the pause between two tries, in seconds. Default 30. */
  maxPause?: number;
  fetch?: typeof globalThis.fetch;
  sleep?: (seconds: number, signal?: AbortSignal) => Promise<void>;
}

interface Abort {
  signal?: AbortSignal;
}

/** Calls the private listener. It repeats what failed for a reason that passes by itself; every call is safe to repeat. */
export interface OwnerUsage {
  /** Name of the token. */
  owner: string;
  /** Without those that the token has no limit of. */
  quota: { units_queued?: Remaining; images_a_day?: Remaining };
  /** The latest first, without those of which there is nothing to tell. Bytes are those of the variants that were made. */
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

export class Client {
  constructor(config: ClientConfig);
  /** Posts Data Units or URLs. Once it resolves, the server has them on disk, and the signed URLs in the answer work. */
  prewarm(call: PrewarmCall): Promise<Omit<Job, "job"> & { job: string | null; units: AcceptedUnit[] }>;
  /** The state of a job; with wait, up to 60 seconds, once it has ended. */
  job(id: string, options?: { wait?: number } & Abort): Promise<Job>;
  /** Polls until the job ends. each sees every state on the way. */
  wait(id: string, options?: { each?: (job: Job) => void } & Abort): Promise<Job>;
  /** Jobs, the latest first. */
  jobs(options?: Abort): AsyncGenerator<Job>;
  /** The verdicts of a job, page by page. */
  results(id: string, options?: { state?: string } & Abort): AsyncGenerator<Verdict>;
  /** Drives a job's failed and broken variants again. */
  retry(id: string, options?: Abort): Promise<Job>;
  /** Gives up what has not been started of a job. */
  cancel(id: string, options?: Abort): Promise<Job>;
  /** The sources found broken since a time, the latest last. */
  broken(since: Date, options?: { limit?: number } & Abort): Promise<{ source: string; reason: string; at: string; count: number }[]>;
  /** What the token has used by the day, and has left of its quota; to the scope admin that of every owner. */
  usage(options?: { owner?: string; days?: number } & Abort): Promise<OwnerUsage[]>;
  /** Tells what is stored, queued or broken, without any work. */
  check(call: { urls?: string[]; data_units?: object[]; keys?: string[]; variants?: Variant[]; select?: string[]; budget?: number } & Abort): Promise<Record<string, any>>;
  /** Removes variants everywhere. The answer names the CDN's tags. */
  purge(what: { source?: string; unit?: string; tag?: string; prefix?: string; all?: boolean } & Abort): Promise<Record<string, any>>;
}
