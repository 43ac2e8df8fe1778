/** The data that flows from the listing to the disk, and the ports between the rooms. No code with effects here. */

declare const safePath: unique symbol;
/** Relative path proven to stay below the target and to be writable there. Only `volume/path.ts` makes one. */
export type SafePath = string & { readonly [safePath]: true };

/** One object as the listing showed it; later reads carry `If-Match: etag`. */
export interface ObjectEntry {
  readonly key: string;
  readonly sizeBytes: number;
  /** As sent by the service, quotes included. */
  readonly etag: string;
  readonly modifiedMs: number;
  /** `Normal`, `Multipart`, `Appendable`, `Symlink` or what the service invents next. */
  readonly type: string;
  readonly storageClass: string;
  /** An archived object whose restored copy can be read now. */
  readonly restored: boolean;
}

/** One of `count` processes that share the objects of a copy; `index` is below `count`. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** Half-open range [start, start + length). */
export interface ByteRange {
  readonly start: number;
  readonly length: number;
}

export interface ListPage {
  readonly entries: readonly ObjectEntry[];
  /** Body bytes of the page; they count against the limit. */
  readonly receivedBytes: number;
}

/** What the service says of one version of one object in the head of an answer. */
export interface ObjectHead {
  readonly sizeBytes: number;
  readonly etag: string;
  /** CRC-64/XZ of the whole object, even in the answer to a range; absent for some old or copied objects. */
  readonly crc64: bigint | undefined;
  /** Base64 MD5 of the whole object; only simple puts have it. */
  readonly contentMd5: string | undefined;
  readonly requestId: string | undefined;
}

/** The control plane of a bucket: everything but object bodies. Methods make one request each and retry nothing. */
export interface ObjectSource {
  /** The page after `position`; undefined is the first page. Throws CopyError. */
  listPage(
    position: ListPosition,
    signal: AbortSignal,
  ): Promise<ListPage & { readonly next: ListPosition | undefined }>;
  /** The version that a GET would serve now (for a symlink: its target's). Throws CopyError `missing` when there is none. */
  head(
    key: string,
    signal: AbortSignal,
  ): Promise<ObjectHead & Pick<ObjectEntry, "modifiedMs" | "type" | "storageClass" | "restored">>;
  /** Reads at most a byte of an object, to find out whether it can be read. Throws CopyError `unsupported` if it is archived. */
  probe(entry: ObjectEntry, signal: AbortSignal): Promise<void>;
  /** Takes new credentials, or the server's clock, after a refusal of kind `expired`; concurrent calls share one refresh. */
  refresh(refusal: Refusal, signal: AbortSignal): Promise<void>;
}

/** A request whose credentials or time the service did not accept. */
export interface Refusal {
  /** The server's clock, if it was the time; milliseconds since the epoch. */
  readonly serverTimeMs: number | undefined;
  /** How long ago the request was sent, milliseconds: what was renewed since then needs no renewal. */
  readonly sentMsAgo: number;
}

export interface ListPosition {
  readonly prefix: string;
  /** List keys after this one only (exclusive). */
  readonly startAfter?: string;
  readonly continuationToken?: string;
  /** Keys a page, at most 1,000. */
  readonly maxKeys?: number;
}

// ---- data plane -------------------------------------------------------------------------------------------------

/** What is to stand at a path when its object is settled. */
export interface FileTarget {
  readonly path: SafePath;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** Distinguishes versions in temporary names: a digest of key and ETag; empty where there are none. */
  readonly version: string;
}

export interface WholeRequest {
  readonly key: string;
  readonly etag: string;
  readonly target: FileTarget;
}

export interface RangeRequest {
  readonly key: string;
  readonly etag: string;
  readonly objectBytes: number;
  readonly file: FileId;
  readonly range: ByteRange;
}

/** An open large file, by number, so that it can cross threads. */
export type FileId = number;

export type Verification = "crc64" | "md5" | "lengthOnly";

/** Told of each whole object as it ends, by its place in the batch; each place is told of once. */
export interface WholeWatcher {
  copied(index: number, verification: Verification): void;
  /** `error` is what a rejection of the port would be. */
  failed(index: number, error: unknown): void;
}

export interface RangeResult {
  /** CRC-64/XZ of the range's bytes. */
  readonly crc64: bigint;
  readonly head: ObjectHead;
}

/** Totals since the start, and gauges of this moment. */
export interface PlaneStats {
  readonly receivedBytes: number;
  readonly writtenBytes: number;
  /** Seconds that open requests waited for bytes, summed over requests. */
  readonly sourceSeconds: number;
  /** Seconds that open requests were paused until a write had ended, summed over requests. */
  readonly diskSeconds: number;
  readonly bufferBytes: number;
}

/** What stands at a path now. */
export interface ExistingFile {
  readonly kind: "file" | "directory" | "other";
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** When it was made or last changed in any way, by the clock of the filesystem, which nobody can set; where it is known. */
  readonly changedMs?: number;
}

/**
 * Everything between a request and the disk. Each call is one attempt: it retries nothing, and when its promise settles,
 * or its watcher is told, no request and no write of it is left. Rejections are CopyErrors, the signal's reason, or bugs.
 */
export interface DataPlane extends AsyncDisposable {
  /** Largest object that `copyWholes` takes; it is verified before its first byte is written. */
  readonly wholeBytes: number;
  /**
   * Bytes at the beginning of a large file that wait in memory until the run is complete: their ranges end where these
   * bytes do, and no checkpoint vouches for them. At most `wholeBytes`, and a multiple of 4 KiB.
   */
  readonly heldBytes: number;
  /** Buffer bytes that a request for `bodyBytes` holds while it is open. */
  bufferCost(bodyBytes: number): number;
  /** Request, verify, write and settle (or stage, see `publish`) objects of at most `wholeBytes`, each on its own. */
  copyWholes(requests: readonly WholeRequest[], signal: AbortSignal, watcher: WholeWatcher): void;
  /** Creates an empty file for a large object. */
  openFile(target: FileTarget): Promise<FileId>;
  /** Receives one range and writes it to its place. The range starts at a multiple of 4 KiB. */
  copyRange(request: RangeRequest, signal: AbortSignal): Promise<RangeResult>;
  /** Base64 MD5 of the file as it can be read back. */
  fileMd5(file: FileId, sizeBytes: number, signal: AbortSignal): Promise<string>;
  /** Exact length, times, owner, mode; the file is closed and, unless staging, in place. */
  settleFile(file: FileId): Promise<void>;
  /** Closes and removes the file of an object that failed or starts over. */
  abandonFile(file: FileId): Promise<void>;
  /** Closes the file of an unfinished object and leaves it for another run. */
  leaveFile(file: FileId): Promise<void>;
  /**
   * Opens the file that an earlier run left for this target, if it is at least `leastBytes` long; otherwise removes it
   * and resolves to undefined.
   */
  reopenFile(target: FileTarget, leastBytes: number): Promise<FileId | undefined>;
  /** Removes the file that an earlier run left where this target is to be made. Whether there was one. */
  clearPlace(target: FileTarget): Promise<boolean>;
  makeDirectory(path: SafePath): Promise<void>;
  /** What stands at each path; undefined where nothing does. Follows no symlink. */
  inspect(paths: readonly SafePath[]): Promise<readonly (ExistingFile | undefined)[]>;
  /** Gives staged files their modification time and final name; one result per target. */
  publish(targets: readonly FileTarget[]): Promise<readonly (undefined | Error)[]>;
  /** Where files are synced one by one: the open large ones, and the entries of all directories changed since the last call. */
  syncDirectories(): Promise<void>;
  stats(): PlaneStats;
}

// ---- time, chance, observation ----------------------------------------------------------------------------------

/** Time and chance, passed in so that tests own them. */
export interface Clock {
  /** Monotonic milliseconds. */
  nowMs(): number;
  /** Rejects with the signal's reason when it aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Uniform in [0, 1). */
  random(): number;
}

export type Operation = "list" | "get" | "head";

/** What the engine tells whoever watches. No key ever becomes a label. */
export interface Metrics {
  listed(objects: number, bytes: number, complete: boolean): void;
  /** The end of one request; `status` is `ok`, `aborted` or the error kind. */
  request(operation: Operation, status: string, seconds: number): void;
  retried(kind: string): void;
  /** Seconds that requests waited for the throughput limit before they were sent. */
  limited(seconds: number): void;
  /** `bytes` are those of all `objects`, which are one unless it is said. */
  outcome(outcome: "copied" | "skipped" | "failed", bytes: number, objects?: number): void;
  inFlight(requests: number): void;
}

/** What the engine is doing, in the order in which it does it. */
export type Phase = "preparing" | "listing" | "copying" | "syncing" | "holding" | "done";

/** The run at this moment, for the live view and `/progress`. */
export interface Progress {
  readonly phase: Phase;
  readonly listed: Counts;
  readonly listingComplete: boolean;
  readonly copied: Counts;
  readonly skipped: Counts;
  readonly failed: Counts;
  readonly receivedBytes: number;
  readonly writtenBytes: number;
  readonly inFlight: number;
  readonly bufferBytes: number;
  readonly limitBytesPerSecond: number | undefined;
  /** Seconds waited so far, summed over requests. */
  readonly waits: Readonly<{ sourceSeconds: number; limiterSeconds: number; diskSeconds: number }>;
  readonly retried: number;
}

export interface Counts {
  readonly objects: number;
  readonly bytes: number;
}

export interface Failure {
  readonly key: string;
  readonly kind: string;
  readonly message: string;
  readonly requestId: string | undefined;
}

/** `oss-populator.report/v1`; its size does not depend on the number of objects. */
export interface CopyReport {
  readonly schema: "oss-populator.report/v1";
  readonly outcome: "complete" | "failed" | "interrupted";
  readonly exitCode: number;
  /** One sentence. */
  readonly reason: string;
  readonly verb: string;
  readonly version: string;
  readonly source: Readonly<{ bucket: string; path: string; endpoint: string; region: string | null }>;
  readonly target: string;
  /** The share of the objects that everything here counts; null is all. */
  readonly shard: Shard | null;
  readonly dryRun: boolean;
  /** SHA-256 over the sorted keys, sizes and ETags of all shards; null when the listing did not end. */
  readonly sourceDigest: string | null;
  readonly startedAt: string;
  readonly firstStartedAt: string;
  readonly resumedFrom: string | null;
  readonly finishedAt: string;
  readonly durationSeconds: number;
  readonly objects: Readonly<{ listed: number; copied: number; skipped: number; failed: number; resumed: number }>;
  readonly bytes: Readonly<{ listed: number; copied: number; skipped: number; received: number }>;
  readonly verified: Readonly<{ crc64: number; md5: number; lengthOnly: number }>;
  readonly requests: Readonly<{ list: number; get: number; head: number; retried: number; throttled: number }>;
  readonly throughput: Readonly<{
    bytesPerSecond: number;
    objectsPerSecond: number;
    limitBytesPerSecond: number | null;
  }>;
  readonly waits: Readonly<{ sourceSeconds: number; limiterSeconds: number; diskSeconds: number }>;
  readonly resources: Readonly<{ cpuSeconds: number; peakRssBytes: number }>;
  readonly durability: "syncfs" | "fsync" | "device" | "none";
  /** The first 100. */
  readonly failures: readonly Failure[];
  readonly failuresOmitted: number;
}

/** Structured events; fields are values, never secrets. */
export interface Logger {
  debug(event: string, fields?: Readonly<Record<string, unknown>>): void;
  info(event: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(event: string, fields?: Readonly<Record<string, unknown>>): void;
  error(event: string, fields?: Readonly<Record<string, unknown>>): void;
}
