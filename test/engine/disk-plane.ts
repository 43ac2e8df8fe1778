import { crc64 } from "../../src/checksum/crc64.ts";
import { CopyError } from "../../src/errors.ts";
import type {
  Clock,
  DataPlane,
  ExistingFile,
  FileId,
  FileTarget,
  PlaneStats,
  RangeRequest,
  RangeResult,
  SafePath,
  WholeRequest,
  WholeWatcher,
} from "../../src/types.ts";
import type { MemoryBucket } from "../support/memory-bucket.ts";
import { type CrashingDisk, hole } from "./crashing-disk.ts";

export const blockBytes = 4096;

/** Blocks as a crashing disk keeps them. */
export function blocksOf(bytes: Uint8Array): string[] {
  const count = Math.ceil(bytes.length / blockBytes);
  return Array.from({ length: count }, (_, i) =>
    Buffer.from(bytes.subarray(i * blockBytes, (i + 1) * blockBytes)).toString("latin1"),
  );
}

/** Bytes of a file up to its last block, holes included. */
function lengthOf(file: readonly string[]): number {
  return file.reduce((sum, block) => sum + (block === hole ? blockBytes : block.length), 0);
}

/** A data plane that writes to a disk that may crash, step by step: each block is a write of its own. */
export class DiskPlane implements DataPlane {
  readonly wholeBytes = blockBytes;
  readonly heldBytes = 0;
  readonly #bucket: MemoryBucket;
  readonly #disk: CrashingDisk;
  readonly #clock: Clock;
  readonly #open = new Map<FileId, FileTarget>();
  /** Its own, so that nothing of a run that was killed stays in memory. */
  readonly #forever = new AbortController().signal;
  #nextFile = 1;
  #writtenBytes = 0;

  constructor(bucket: MemoryBucket, disk: CrashingDisk, clock: Clock) {
    this.#bucket = bucket;
    this.#disk = disk;
    this.#clock = clock;
  }

  bufferCost(): number {
    return 1;
  }

  copyWholes(requests: readonly WholeRequest[], signal: AbortSignal, watcher: WholeWatcher): void {
    for (const [index, request] of requests.entries()) {
      this.#copyWhole(request, signal).then(
        () => watcher.copied(index, "crc64"),
        (error: unknown) => watcher.failed(index, error),
      );
    }
  }

  async #copyWhole({ key, etag, target }: WholeRequest, signal: AbortSignal): Promise<void> {
    const { bytes, head } = await this.#get(key, etag, { start: 0, length: target.sizeBytes }, signal);
    if (crc64(bytes) !== head.crc64) throw new CopyError("corrupt", `object ${key} does not match its checksum`);
    await this.#create(target);
    await this.#write(target, bytes, 0);
  }

  async openFile(target: FileTarget): Promise<FileId> {
    await this.#create(target);
    return this.#keep(target);
  }

  async copyRange({ key, etag, file, range }: RangeRequest, signal: AbortSignal): Promise<RangeResult> {
    const target = this.#file(file);
    const { bytes, head } = await this.#get(key, etag, range, signal);
    await this.#write(target, bytes, range.start);
    return { crc64: crc64(bytes), head };
  }

  async fileMd5(): Promise<string> {
    throw new Error("every object has a CRC-64");
  }

  async settleFile(file: FileId): Promise<void> {
    await this.#step();
    this.#file(file);
    this.#open.delete(file);
  }

  async abandonFile(file: FileId): Promise<void> {
    const { path } = this.#file(file);
    await this.#step();
    this.#disk.unlink(path);
    this.#open.delete(file);
  }

  async leaveFile(file: FileId): Promise<void> {
    await this.#step();
    this.#open.delete(file);
  }

  async reopenFile(target: FileTarget, leastBytes: number): Promise<FileId | undefined> {
    await this.#step();
    const file = this.#disk.read(target.path);
    if (file === undefined) return undefined;
    if (lengthOf(file) >= leastBytes) return this.#keep(target);
    this.#disk.unlink(target.path);
    return undefined;
  }

  async clearPlace({ path }: FileTarget): Promise<boolean> {
    await this.#step();
    const was = this.#disk.read(path) !== undefined;
    if (was) this.#disk.unlink(path);
    return was;
  }

  async makeDirectory(): Promise<void> {
    throw new Error("there are no markers");
  }

  async inspect(paths: readonly SafePath[]): Promise<readonly (ExistingFile | undefined)[]> {
    await this.#step();
    return paths.map((path) => {
      const file = this.#disk.read(path);
      return file && { kind: "file", sizeBytes: lengthOf(file), modifiedMs: 0 };
    });
  }

  async publish(): Promise<readonly (undefined | Error)[]> {
    throw new Error("nothing is staged");
  }

  async syncDirectories(): Promise<void> {}

  stats(): PlaneStats {
    return { receivedBytes: 0, writtenBytes: this.#writtenBytes, sourceSeconds: 0, diskSeconds: 0, bufferBytes: 0 };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #get(key: string, etag: string, range: { start: number; length: number }, signal: AbortSignal) {
    const asked = { operation: "get", key, start: range.start } as const;
    return this.#bucket.request(
      asked,
      (fault) => ({ bytes: this.#bucket.body(key, etag, range, fault), head: this.#bucket.head(key) }),
      signal,
    );
  }

  async #create({ path }: FileTarget): Promise<void> {
    await this.#step();
    if (this.#disk.read(path) !== undefined) throw new Error(`${path} is there already`);
    this.#disk.create(path);
  }

  async #write({ path }: FileTarget, bytes: Uint8Array, start: number): Promise<void> {
    for (const [i, block] of blocksOf(bytes).entries()) {
      await this.#step();
      this.#disk.write(path, start / blockBytes + i, block);
    }
    this.#writtenBytes += bytes.length;
    await this.#step(); // what is written may not be known yet
  }

  async #step(): Promise<void> {
    await this.#clock.sleep(1, this.#forever);
  }

  #keep(target: FileTarget): FileId {
    const id = this.#nextFile++;
    this.#open.set(id, target);
    return id;
  }

  #file(id: FileId): FileTarget {
    const file = this.#open.get(id);
    if (!file) throw new Error(`file ${id} is not open`);
    return file;
  }
}
