import { createHash } from "node:crypto";
import { chooseCheck } from "../../src/checksum/check.ts";
import { crc64 } from "../../src/checksum/crc64.ts";
import { CopyError } from "../../src/errors.ts";
import type {
  ByteRange,
  Clock,
  DataPlane,
  ExistingFile,
  FileId,
  FileTarget,
  PlaneStats,
  RangeRequest,
  RangeResult,
  SafePath,
  Verification,
  WholeRequest,
  WholeWatcher,
} from "../../src/types.ts";
import type { MemoryBucket } from "./memory-bucket.ts";
import { MemoryVolume } from "./memory-volume.ts";

export type VolumeAction = "whole" | "open" | "range" | "settle" | "abandon" | "publish" | "inspect";

export interface MemoryPlaneOptions {
  readonly bucket: MemoryBucket;
  readonly clock: Clock;
  /** Files wait for `publish` under another name. */
  readonly staged?: boolean;
  readonly wholeBytes?: number;
  readonly heldBytes?: number;
  /** What an action on a path ends with instead of success. */
  readonly volumeFault?: (action: VolumeAction, path: string) => Error | undefined;
}

interface OpenFile {
  readonly target: FileTarget;
  readonly bytes: Uint8Array;
  busy: number;
}

const forever = new AbortController().signal;

/** A volume in memory that tells when the engine breaks the rules of the port. */
export class MemoryPlane implements DataPlane {
  readonly wholeBytes: number;
  readonly heldBytes: number;
  readonly volume: MemoryVolume;
  /** What happened, in order: `open a`, `settle a`, `whole a`, `publish a b`. */
  readonly events: string[] = [];
  readonly #options: MemoryPlaneOptions;
  readonly #open = new Map<FileId, OpenFile>();
  #nextFile = 1;
  #busy = 0;
  #bufferBytes = 0;
  #mostBufferBytes = 0;

  constructor(options: MemoryPlaneOptions) {
    this.#options = options;
    this.wholeBytes = options.wholeBytes ?? 64;
    this.heldBytes = options.heldBytes ?? 0;
    this.volume = new MemoryVolume(options.staged ?? false);
  }

  /** Calls that have not settled. */
  get busy(): number {
    return this.#busy;
  }

  get openFiles(): number {
    return this.#open.size;
  }

  get mostBufferBytes(): number {
    return this.#mostBufferBytes;
  }

  bufferCost(bodyBytes: number): number {
    return bodyBytes <= 16 ? 16 : 64;
  }

  copyWholes(requests: readonly WholeRequest[], signal: AbortSignal, watcher: WholeWatcher): void {
    for (const [index, request] of requests.entries()) {
      this.#copyWhole(request, signal).then(
        (verification) => watcher.copied(index, verification),
        (error: unknown) => watcher.failed(index, error),
      );
    }
  }

  #copyWhole({ key, etag, target }: WholeRequest, signal: AbortSignal): Promise<Verification> {
    const range = { start: 0, length: target.sizeBytes };
    if (range.length > this.wholeBytes) throw new Error(`${key} does not fit one piece`);
    return this.#buffered(range.length, async () => {
      const { bytes, head } = await this.#get(key, etag, range, signal);
      const check = chooseCheck(head);
      const right = check.by === "length" || sumOf(bytes, check.by) === check.expected;
      const binding = check.by === "crc64" || (check.by === "md5" && check.binding);
      if (!right && binding) throw new CopyError("corrupt", `object ${key} does not match its checksum`);
      await this.#options.clock.sleep(1, forever);
      this.#check("whole", target.path);
      this.events.push(`whole ${target.path}`);
      this.volume.stand(target, bytes);
      return right && check.by !== "length" ? check.by : "lengthOnly";
    });
  }

  openFile(target: FileTarget): Promise<FileId> {
    return this.#counted(async () => {
      await this.#options.clock.sleep(1, forever);
      this.#check("open", target.path);
      if ([...this.#open.values()].some((other) => other.target.path === target.path)) {
        throw new Error(`${target.path} is open twice`);
      }
      this.events.push(`open ${target.path}`);
      const id = this.#nextFile++;
      this.#open.set(id, { target, bytes: new Uint8Array(target.sizeBytes), busy: 0 });
      return id;
    });
  }

  copyRange({ key, etag, file, range }: RangeRequest, signal: AbortSignal): Promise<RangeResult> {
    const { start, length } = range;
    if (start < this.heldBytes && start + length > this.heldBytes)
      throw new Error("a range reaches out of what is held");
    return this.#buffered(range.length, async () => {
      const open = this.#file(file);
      open.busy++;
      try {
        const { bytes, head } = await this.#get(key, etag, range, signal);
        await this.#options.clock.sleep(1, forever);
        this.#check("range", open.target.path);
        open.bytes.set(bytes, range.start);
        return { crc64: crc64(bytes), head };
      } finally {
        open.busy--;
      }
    });
  }

  fileMd5(file: FileId, sizeBytes: number, signal: AbortSignal): Promise<string> {
    return this.#counted(async () => {
      await this.#options.clock.sleep(1, signal);
      return sumOf(this.#idleFile(file).bytes.subarray(0, sizeBytes), "md5").toString();
    });
  }

  settleFile(file: FileId): Promise<void> {
    return this.#counted(async () => {
      await this.#options.clock.sleep(1, forever);
      const { target, bytes } = this.#idleFile(file);
      this.#check("settle", target.path);
      this.events.push(`settle ${target.path}`);
      this.volume.stand(target, bytes);
      this.#open.delete(file);
    });
  }

  abandonFile(file: FileId): Promise<void> {
    return this.#counted(async () => {
      const { target } = this.#idleFile(file);
      this.events.push(`abandon ${target.path}`);
      await this.#options.clock.sleep(1, forever);
      this.#idleFile(file);
      this.#check("abandon", target.path);
      this.#open.delete(file);
    });
  }

  leaveFile(file: FileId): Promise<void> {
    return this.#counted(async () => {
      const { target, bytes } = this.#idleFile(file);
      this.events.push(`leave ${target.path}`);
      await this.#options.clock.sleep(1, forever);
      this.#idleFile(file);
      bytes.fill(0, 0, this.heldBytes); // what is held back is nowhere yet
      this.volume.leave(target, bytes);
      this.#open.delete(file);
    });
  }

  reopenFile(target: FileTarget, leastBytes: number): Promise<FileId | undefined> {
    return this.#counted(async () => {
      await this.#options.clock.sleep(1, forever);
      const left = this.volume.takeLeft(target);
      if (!left || left.length < leastBytes) return undefined;
      this.events.push(`reopen ${target.path}`);
      const id = this.#nextFile++;
      const bytes = new Uint8Array(target.sizeBytes);
      bytes.set(left.subarray(0, target.sizeBytes));
      this.#open.set(id, { target, bytes, busy: 0 });
      return id;
    });
  }

  async clearPlace(target: FileTarget): Promise<boolean> {
    this.events.push(`clear ${target.path}`);
    return this.volume.takeLeft(target) !== undefined;
  }

  /** What an unfinished file would hold if the process ended now, without a word to anybody. */
  kill(): void {
    for (const { target, bytes } of this.#open.values()) this.volume.leave(target, bytes.slice());
  }

  async makeDirectory(path: SafePath): Promise<void> {
    this.volume.directories.add(path);
  }

  inspect(paths: readonly SafePath[]): Promise<readonly (ExistingFile | undefined)[]> {
    return this.#counted(async () => {
      await this.#options.clock.sleep(1, forever);
      for (const path of paths) this.#check("inspect", path);
      return paths.map((path) => this.volume.look(path));
    });
  }

  publish(targets: readonly FileTarget[]): Promise<readonly (undefined | Error)[]> {
    return this.#counted(async () => {
      this.events.push(["publish", ...targets.map(({ path }) => path)].join(" "));
      await this.#options.clock.sleep(1, forever);
      return targets.map(
        (target) => this.#options.volumeFault?.("publish", target.path) ?? this.volume.publish(target),
      );
    });
  }

  async syncDirectories(): Promise<void> {
    this.events.push("sync directories");
  }

  stats(): PlaneStats {
    return {
      receivedBytes: 0,
      writtenBytes: 0,
      sourceSeconds: 0,
      diskSeconds: 0,
      bufferBytes: this.#bufferBytes,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #get(key: string, etag: string, range: ByteRange, signal: AbortSignal) {
    const { bucket } = this.#options;
    const asked = { operation: "get", key, start: range.start } as const;
    return bucket.request(
      asked,
      (fault) => ({ bytes: bucket.body(key, etag, range, fault), head: bucket.head(key) }),
      signal,
    );
  }

  async #counted<T>(work: () => Promise<T>): Promise<T> {
    this.#busy++;
    try {
      return await work();
    } finally {
      this.#busy--;
    }
  }

  async #buffered<T>(bodyBytes: number, work: () => Promise<T>): Promise<T> {
    const cost = this.bufferCost(bodyBytes);
    this.#bufferBytes += cost;
    this.#mostBufferBytes = Math.max(this.#mostBufferBytes, this.#bufferBytes);
    try {
      return await this.#counted(work);
    } finally {
      this.#bufferBytes -= cost;
    }
  }

  #check(action: VolumeAction, path: string): void {
    const fault = this.#options.volumeFault?.(action, path);
    if (fault) throw fault;
  }

  #file(id: FileId): OpenFile {
    const file = this.#open.get(id);
    if (!file) throw new Error(`file ${id} is not open`);
    return file;
  }

  #idleFile(id: FileId): OpenFile {
    const file = this.#file(id);
    if (file.busy > 0) throw new Error(`a range of ${file.target.path} is still under way`);
    return file;
  }
}

function sumOf(bytes: Uint8Array, by: "crc64" | "md5"): bigint | string {
  return by === "crc64" ? crc64(bytes) : createHash("md5").update(bytes).digest("base64");
}
