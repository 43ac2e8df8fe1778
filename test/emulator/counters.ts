import type { Operation } from "./faults.ts";

/** What the emulator saw and sent since its start or the last reset. */
export interface Counters {
  list: number;
  get: number;
  head: number;
  put: number;
  delete: number;
  symlink: number;
  sts: number;
  other: number;
  /** Answers by status; connections that were reset without one are not here. */
  byStatus: Record<string, number>;
  /** Bytes of bodies handed to sockets. */
  bytesSent: number;
  /** Those of them that were content of objects. */
  objectBytesSent: number;
  /** Connections accepted. */
  connections: number;
  openConnections: number;
  maxOpenConnections: number;
  concurrentRequests: number;
  maxConcurrentRequests: number;
  /** GETs that carried If-Match. */
  ifMatch: number;
  /** GETs that carried Range, with `x-oss-range-behavior: standard` and without. */
  rangeStandard: number;
  rangeDefault: number;
  /** Requests for objects or listings that offered gzip. */
  acceptGzip: number;
  /** Requests without a signature. */
  anonymous: number;
}

export function newCounters(): Counters {
  return {
    list: 0,
    get: 0,
    head: 0,
    put: 0,
    delete: 0,
    symlink: 0,
    sts: 0,
    other: 0,
    byStatus: {},
    bytesSent: 0,
    objectBytesSent: 0,
    connections: 0,
    openConnections: 0,
    maxOpenConnections: 0,
    concurrentRequests: 0,
    maxConcurrentRequests: 0,
    ifMatch: 0,
    rangeStandard: 0,
    rangeDefault: 0,
    acceptGzip: 0,
    anonymous: 0,
  };
}

/** One request as it was answered; still open while `finished` is false. */
export interface RequestRecord {
  readonly id: string;
  readonly operation: Operation;
  readonly method: string;
  /** As sent, without the query. */
  readonly path: string;
  /** As sent, without the question mark. */
  readonly query: string;
  readonly bucket: string;
  readonly key: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly remotePort: number;
  readonly startedAtMs: number;
  /** 0 while there is none. */
  status: number;
  bytesSent: number;
  finished: boolean;
  /** By the emulator's clock; undefined while it is open. */
  finishedAtMs: number | undefined;
}

/** The last `limit` requests, oldest first. */
export class RequestLog {
  readonly #limit: number;
  #records: RequestRecord[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(record: RequestRecord): void {
    this.#records.push(record);
    if (this.#records.length > 2 * this.#limit) this.#records = this.#records.slice(-this.#limit);
  }

  list(): readonly RequestRecord[] {
    return this.#limit === 0 ? [] : this.#records.slice(-this.#limit);
  }

  clear(): void {
    this.#records = [];
  }
}
