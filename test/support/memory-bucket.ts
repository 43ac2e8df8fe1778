import { createHash } from "node:crypto";
import { crc64 } from "../../src/checksum/crc64.ts";
import { CopyError, type ErrorKind } from "../../src/errors.ts";
import type { Clock, ObjectEntry, ObjectHead, Operation } from "../../src/types.ts";

/** What happens to one request instead of success. */
export type Fault =
  | { readonly kind: ErrorKind; readonly retryAfterMs?: number }
  /** The connection ends after half of the body. */
  | { readonly kind: "truncated" }
  /** Another version replaces the object before the request arrives. */
  | { readonly kind: "overwritten" }
  /** One bit of the body is wrong. */
  | { readonly kind: "flipped" };

export interface SeenRequest {
  readonly operation: Operation;
  readonly key: string;
  /** First byte asked for. */
  readonly start: number;
  /** Position in the order of requests. */
  readonly index: number;
}

export type FaultSchedule = (request: SeenRequest) => Fault | undefined;

export interface StoredObject {
  readonly bytes: Uint8Array;
  readonly etag: string;
  readonly modifiedMs: number;
  readonly type: string;
  readonly storageClass: string;
  readonly crc64: bigint | undefined;
  readonly contentMd5: string | undefined;
}

export interface PutOptions {
  /** What proves the object's bytes; `none` leaves an ETag that is no MD5. */
  readonly proof?: "crc64" | "md5" | "etag" | "none";
  readonly type?: string;
  readonly storageClass?: string;
  readonly modifiedMs?: number;
}

/** What a bucket holds, apart from whoever asks for it: several buckets may share it, one after the other. */
export interface Store {
  readonly objects: Map<string, StoredObject>;
  versions: number;
}

/** Objects in memory, and every request that was made of them. */
export class MemoryBucket {
  readonly requests: SeenRequest[] = [];
  readonly #clock: Clock;
  readonly #faults: FaultSchedule;
  readonly #store: Store;
  #open = 0;
  #mostOpen = 0;

  constructor(
    clock: Clock,
    faults: FaultSchedule = () => undefined,
    store: Store = { objects: new Map(), versions: 0 },
  ) {
    this.#clock = clock;
    this.#faults = faults;
    this.#store = store;
  }

  get objects(): Map<string, StoredObject> {
    return this.#store.objects;
  }

  /** Requests under way. */
  get open(): number {
    return this.#open;
  }

  get mostOpen(): number {
    return this.#mostOpen;
  }

  put(key: string, content: string | Uint8Array, options: PutOptions = {}): StoredObject {
    const bytes = new Uint8Array(typeof content === "string" ? Buffer.from(content) : content);
    const { proof = "crc64", type = "Normal", storageClass = "Standard" } = options;
    const version = ++this.#store.versions;
    const md5 = createHash("md5").update(bytes);
    const stored = {
      bytes,
      etag: proof === "etag" ? `"${md5.copy().digest("hex").toUpperCase()}"` : `"v${version}"`,
      modifiedMs: options.modifiedMs ?? 1_700_000_000_000 + version * 1000,
      type,
      storageClass,
      crc64: proof === "crc64" ? crc64(bytes) : undefined,
      contentMd5: proof === "md5" ? md5.digest("base64") : undefined,
    };
    this.objects.set(key, stored);
    return stored;
  }

  /** The entries below a prefix as a listing shows them, in key order. */
  entries(prefix: string): ObjectEntry[] {
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix));
    return keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))).map((key) => this.entry(key));
  }

  entry(key: string): ObjectEntry {
    const { bytes, etag, modifiedMs, type, storageClass } = this.stored(key);
    return { key, sizeBytes: bytes.length, etag, modifiedMs, type, storageClass, restored: false };
  }

  /** Throws CopyError `missing`. */
  stored(key: string): StoredObject {
    const stored = this.objects.get(key);
    if (!stored) throw new CopyError("missing", `object ${key} does not exist`);
    return stored;
  }

  head(key: string): ObjectHead {
    const { bytes, etag, crc64, contentMd5 } = this.stored(key);
    return { sizeBytes: bytes.length, etag, crc64, contentMd5, requestId: undefined };
  }

  /** One request: it takes its time, meets its fault and answers, or ends with the signal's reason. */
  async request<T>(
    asked: Omit<SeenRequest, "index">,
    answer: (fault: Fault | undefined) => T,
    signal: AbortSignal,
  ): Promise<T> {
    const seen = { ...asked, index: this.requests.length };
    this.requests.push(seen);
    this.#open++;
    this.#mostOpen = Math.max(this.#mostOpen, this.#open);
    try {
      await this.#clock.sleep(1 + Math.floor(this.#clock.random() * 20), signal);
      const fault = this.#faults(seen);
      if (fault?.kind === "overwritten") this.#overwrite(asked.key);
      else if (fault && fault.kind !== "truncated" && fault.kind !== "flipped") {
        const { kind, retryAfterMs = 0 } = fault;
        throw new CopyError(kind, `${asked.operation} of ${asked.key}: ${kind}`, { retryAfterMs });
      }
      return answer(fault);
    } finally {
      this.#open--;
    }
  }

  /** The bytes of a range of the version `etag`. Throws CopyError `changed` or `interrupted`. */
  body(key: string, etag: string, range: { start: number; length: number }, fault: Fault | undefined): Uint8Array {
    const stored = this.stored(key);
    if (stored.etag !== etag) throw new CopyError("changed", `object ${key} is not ${etag} any more`);
    const bytes = stored.bytes.slice(range.start, range.start + range.length);
    if (fault?.kind === "truncated") {
      throw new CopyError("interrupted", `${key}: the body ended early`, { receivedBytes: bytes.length >> 1 });
    }
    const [first] = bytes;
    if (fault?.kind === "flipped" && first !== undefined) bytes[0] = first ^ 1;
    return bytes;
  }

  #overwrite(key: string): void {
    const old = this.objects.get(key);
    if (!old) return;
    const bytes = Uint8Array.from([...old.bytes, 1]).map((byte) => (byte + 1) & 255);
    const proof = old.crc64 !== undefined ? "crc64" : old.contentMd5 !== undefined ? "md5" : "none";
    this.put(key, bytes, { proof, type: old.type });
  }
}
