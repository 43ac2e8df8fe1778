/** What a request does; `symlink` is GET or PUT of `?symlink`, `sts` any request to the STS server. */
export type Operation = "list" | "get" | "head" | "put" | "delete" | "symlink" | "sts" | "other";

/** Which requests a fault is for. Without anything: every request. */
export interface FaultMatch {
  readonly operation?: Operation;
  /** Exactly this key, or keys that match. */
  readonly key?: string | RegExp;
  /** As `key` with a RegExp, for JSON. */
  readonly keyPattern?: string;
  /** The first matching request that it hits, from 1. */
  readonly nth?: number;
  /** Every so many matching requests (from `nth` if given). */
  readonly every?: number;
  /** Requests that it hits in all. Default: 1 with `nth` alone, otherwise no end. */
  readonly times?: number;
}

/** What happens to the answer. Offsets and lengths are bytes of this answer's body, not of the object. */
export type FaultAction =
  /** Waits before the answer. */
  | { readonly kind: "delay"; readonly ms: number }
  /** Answers with an error document; a status below 400 has an empty body. */
  | {
      readonly kind: "status";
      readonly status: number;
      readonly ossCode?: string;
      readonly message?: string;
      /** Seconds, or an HTTP date. */
      readonly retryAfter?: number | string;
    }
  /** Resets the connection before the head. */
  | { readonly kind: "reset" }
  /** Resets the connection after at most so many bytes of the body. */
  | { readonly kind: "resetAfter"; readonly bytes: number }
  /** Closes the connection in good order after so many bytes, though Content-Length said more. */
  | { readonly kind: "truncateAt"; readonly bytes: number }
  /** Announces and sends so many bytes more; `announced: false` sends them behind a right Content-Length. */
  | { readonly kind: "extraBytes"; readonly bytes: number; readonly announced?: boolean }
  /** Inverts the lowest bit of one byte; an offset beyond the body means its last byte. */
  | { readonly kind: "flipBit"; readonly at: number }
  /** Replaces the object by other content with another ETag (and size), before this answer or after it. */
  | { readonly kind: "changeEtag"; readonly when?: "before" | "after"; readonly sizeBytes?: number }
  /** Answers a range with 200 and the whole object. */
  | { readonly kind: "ignoreRange" }
  /** Moves the Content-Range by so many bytes (1); the body stays as asked for. */
  | { readonly kind: "wrongContentRange"; readonly by?: number }
  /** Sends the body slowly. */
  | { readonly kind: "drip"; readonly bytesPerSecond: number }
  /** A truncated page whose NextContinuationToken leads to the same page again. */
  | { readonly kind: "repeatedToken" }
  /** Cuts a listing in its middle, with a Content-Length that fits. */
  | { readonly kind: "cutXml" }
  /** Sends the head and so many bytes (0), then nothing, with the connection open. */
  | { readonly kind: "stall"; readonly afterBytes?: number }
  /** Something that is not HTTP instead of the head, then the end of the connection. */
  | { readonly kind: "garbageHead" }
  /** A head with one header of so many bytes (128 KiB). */
  | { readonly kind: "hugeHeader"; readonly bytes?: number }
  /** Announces and sends so many bytes fewer (1): a valid message that is shorter than the object. */
  | { readonly kind: "wrongLength"; readonly missingBytes?: number }
  /** Sets a response header, or removes it with null. */
  | { readonly kind: "header"; readonly name: string; readonly value: string | null };

/** A fault is its match and its action in one flat, JSON-able object (but for a RegExp). */
export type Fault = FaultMatch & FaultAction;
export type FaultKind = FaultAction["kind"];
export type FaultOf<K extends FaultKind> = Extract<FaultAction, { readonly kind: K }>;

/** The faults that one request met. */
export type FiredFaults = readonly FaultAction[];

const NONE: FiredFaults = [];

interface Entry {
  readonly fault: Fault;
  readonly pattern: RegExp | undefined;
  matched: number;
  fired: number;
}

/** Active faults; each counts the requests that match it, in the order in which they arrive. */
export class FaultList {
  #entries: Entry[] = [];

  /** Throws a TypeError if it is no fault. */
  add(...faults: readonly Fault[]): void {
    for (const fault of faults) this.#entries.push({ fault, pattern: patternOf(fault), matched: 0, fired: 0 });
  }

  clear(): void {
    this.#entries = [];
  }

  /** Every fault with how many requests matched it and how many it hit. */
  list(): { readonly fault: Fault; readonly matched: number; readonly fired: number }[] {
    return this.#entries.map(({ fault, matched, fired }) => ({ fault, matched, fired }));
  }

  /** Counts this request and says which faults hit it. */
  take(operation: Operation, key: string): FiredFaults {
    if (this.#entries.length === 0) return NONE;
    return this.#entries.filter((entry) => hits(entry, operation, key)).map((entry) => entry.fault);
  }
}

function hits(entry: Entry, operation: Operation, key: string): boolean {
  const { fault, pattern } = entry;
  if (fault.operation !== undefined && fault.operation !== operation) return false;
  if (typeof fault.key === "string" && fault.key !== key) return false;
  if (pattern !== undefined && !pattern.test(key)) return false;
  entry.matched += 1;
  const since = entry.matched - (fault.nth ?? fault.every ?? 1);
  if (since < 0) return false;
  if (fault.every !== undefined && since % fault.every !== 0) return false;
  const onlyNth = fault.nth !== undefined && fault.every === undefined;
  if (entry.fired >= (fault.times ?? (onlyNth ? 1 : Number.POSITIVE_INFINITY))) return false;
  entry.fired += 1;
  return true;
}

/** The first fired fault of that kind. */
export function firedFault<K extends FaultKind>(fired: FiredFaults, kind: K): FaultOf<K> | undefined {
  // The discriminant was compared, which TypeScript does not carry through a generic kind.
  return fired.find((action) => action.kind === kind) as FaultOf<K> | undefined;
}

/** A RegExp without the state of its flags g and y. */
function patternOf(fault: Fault): RegExp | undefined {
  if (fault.key instanceof RegExp) return new RegExp(fault.key.source, fault.key.flags.replace(/[gy]/g, ""));
  return fault.keyPattern === undefined ? undefined : new RegExp(fault.keyPattern, "u");
}

/** Numbers that a kind cannot do without. */
const requiredNumbers = {
  delay: ["ms"],
  status: ["status"],
  reset: [],
  resetAfter: ["bytes"],
  truncateAt: ["bytes"],
  extraBytes: ["bytes"],
  flipBit: ["at"],
  changeEtag: [],
  ignoreRange: [],
  wrongContentRange: [],
  drip: ["bytesPerSecond"],
  repeatedToken: [],
  cutXml: [],
  stall: [],
  garbageHead: [],
  hugeHeader: [],
  wrongLength: [],
  header: [],
} as const satisfies Record<FaultKind, readonly string[]>;

/** Every kind of fault, for help texts and checks. */
export const faultKinds: readonly string[] = Object.keys(requiredNumbers);

/** Reads a fault from parsed JSON; throws a TypeError that says what is wrong. */
export function parseFault(value: unknown): Fault {
  if (typeof value !== "object" || value === null || !("kind" in value)) {
    throw new TypeError(`a fault is an object with a kind: ${JSON.stringify(value)}`);
  }
  const kind = String(value.kind);
  const needed: readonly string[] | undefined = Object.entries(requiredNumbers).find(([name]) => name === kind)?.[1];
  if (needed === undefined) throw new TypeError(`unknown kind of fault ${kind}; there are ${faultKinds.join(", ")}`);
  for (const name of needed) {
    const number: unknown = Reflect.get(value, name);
    if (typeof number !== "number" || number < 0) throw new TypeError(`fault ${kind} needs a number ${name}`);
  }
  if (kind === "header" && !("name" in value && "value" in value)) {
    throw new TypeError("fault header needs a name, and a value or null");
  }
  // The kind and its numbers were checked; the match is read with defaults.
  return value as Fault;
}
