import { CopyError } from "../errors.ts";
import type { Transport } from "../oss/http/transport.ts";
import type { ObjectReader } from "../oss/object-reader.ts";
import type {
  DataPlane,
  ExistingFile,
  FileId,
  FileTarget,
  ObjectHead,
  PlaneStats,
  RangeRequest,
  RangeResult,
  SafePath,
  WholeRequest,
  WholeWatcher,
} from "../types.ts";
import type { OpenFile, TargetWriter } from "../volume/target-writer.ts";
import { RangeSink } from "./range-sink.ts";
import { largestWholeBytes, type SlabLease, type Slabs } from "./slabs.ts";
import { type Totals, WholeCopy, type WholeCopyParts, type WholePlace } from "./whole-copy.ts";

export interface LocalPlaneParts {
  readonly transport: Transport;
  readonly reader: ObjectReader;
  readonly slabs: Slabs;
  readonly writer: TargetWriter;
  /** See `DataPlane`. */
  readonly heldBytes: number;
  /** Whether files that are open at the end stay, for another run to go on with. */
  readonly keepsUnfinished: boolean;
}

/** The data plane in this very thread: connection → slab → CRC → file. */
export class LocalPlane implements DataPlane {
  readonly wholeBytes = largestWholeBytes;
  readonly #parts: LocalPlaneParts;
  readonly #files = new Map<FileId, OpenFile>();
  readonly #totals: Totals = { receivedBytes: 0, writtenBytes: 0, sourceSeconds: 0, diskSeconds: 0 };
  readonly #wholes: WholeCopyParts;
  #nextFile = 1;

  constructor(parts: LocalPlaneParts) {
    this.#parts = parts;
    this.#wholes = { slabs: parts.slabs, writer: parts.writer, totals: this.#totals };
  }

  get heldBytes(): number {
    return this.#parts.heldBytes;
  }

  bufferCost(bodyBytes: number): number {
    return this.#parts.slabs.cost(bodyBytes);
  }

  copyWholes(requests: readonly WholeRequest[], signal: AbortSignal, watcher: WholeWatcher): void {
    const { slabs } = this.#parts;
    for (let index = 0; index < requests.length; index++) {
      const request = requests[index];
      if (request === undefined) continue;
      const { sizeBytes } = request.target;
      const lease = slabs.tryLease(sizeBytes);
      if (lease) this.#startWhole(request, { index, watcher }, lease, signal);
      else {
        slabs.lease(sizeBytes).then(
          (later) => this.#startWhole(request, { index, watcher }, later, signal),
          (error: unknown) => watcher.failed(index, error),
        );
      }
    }
  }

  #startWhole(request: WholeRequest, place: WholePlace, lease: SlabLease, signal: AbortSignal): void {
    const { key, etag, target } = request;
    const copy = new WholeCopy(this.#wholes, request, place, lease);
    this.#parts.reader.start({ key, etag, objectBytes: target.sizeBytes }, copy, signal);
  }

  async openFile(target: FileTarget): Promise<FileId> {
    return this.#keep(await this.#parts.writer.openFile(target));
  }

  async reopenFile(target: FileTarget, leastBytes: number): Promise<FileId | undefined> {
    const file = this.#parts.writer.reopenFile(target, leastBytes);
    return file && this.#keep(file);
  }

  async clearPlace(target: FileTarget): Promise<boolean> {
    return this.#parts.writer.clearPlace(target);
  }

  /** The descriptor of a file, by which another thread of this process can join in writing it. */
  async shareFile(file: FileId): Promise<number> {
    return this.#file(file).descriptor;
  }

  /** Opens for ranges a file that another plane made. */
  async joinFile(target: FileTarget, descriptor: number): Promise<FileId> {
    return this.#keep(this.#parts.writer.joinFile(target, descriptor));
  }

  /** Closes a file that another plane, or another run, will settle. */
  async leaveFile(file: FileId): Promise<void> {
    await this.#file(file).abandon({ remove: false });
    this.#files.delete(file);
  }

  async copyRange({ key, etag, objectBytes, file, range }: RangeRequest, signal: AbortSignal): Promise<RangeResult> {
    const { reader, slabs } = this.#parts;
    const open = this.#file(file);
    using lease = await slabs.lease(range.length);
    const sink = new RangeSink(slabs.kernel, lease.slabs, open, range);
    const startMs = performance.now();
    try {
      const head = await this.#counted(() => reader.read({ key, etag, objectBytes, range }, sink, signal));
      this.#totals.receivedBytes += range.length;
      await sink.drained();
      this.#totals.writtenBytes += range.length;
      return { crc64: sink.crc64, head };
    } finally {
      await sink.drained().catch(() => {}); // slabs go back only when no write can touch them any more
      this.#totals.diskSeconds += sink.pausedMs / 1000;
      this.#totals.sourceSeconds += (performance.now() - startMs - sink.pausedMs) / 1000;
    }
  }

  fileMd5(file: FileId, sizeBytes: number, signal: AbortSignal): Promise<string> {
    return this.#file(file).md5(sizeBytes, signal);
  }

  async settleFile(file: FileId): Promise<void> {
    await this.#file(file).settle();
    this.#files.delete(file);
  }

  async abandonFile(file: FileId): Promise<void> {
    await this.#file(file).abandon({ remove: true });
    this.#files.delete(file);
  }

  async makeDirectory(path: SafePath): Promise<void> {
    this.#parts.writer.makeDirectory(path);
  }

  async inspect(paths: readonly SafePath[]): Promise<readonly (ExistingFile | undefined)[]> {
    return this.#parts.writer.inspect(paths);
  }

  async publish(targets: readonly FileTarget[]): Promise<readonly (undefined | Error)[]> {
    return this.#parts.writer.publish(targets);
  }

  async syncDirectories(): Promise<void> {
    const { writer } = this.#parts;
    if (writer.fsyncsFiles) await Promise.all([...this.#files.values()].map((file) => file.sync()));
    await writer.syncDirectories();
  }

  stats(): PlaneStats {
    return { ...this.#totals, bufferBytes: this.#parts.slabs.usedBytes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.transport[Symbol.asyncDispose]();
    for (const file of this.#files.values()) await file.abandon({ remove: !this.#parts.keepsUnfinished });
    this.#parts.writer[Symbol.dispose]();
  }

  #keep(file: OpenFile): FileId {
    const id = this.#nextFile++;
    this.#files.set(id, file);
    return id;
  }

  #file(id: FileId): OpenFile {
    const file = this.#files.get(id);
    if (!file) throw new Error(`file ${id} is not open`);
    return file;
  }

  /** Failed attempts received bytes too. */
  async #counted(read: () => Promise<ObjectHead>): Promise<ObjectHead> {
    try {
      return await read();
    } catch (error) {
      if (error instanceof CopyError) this.#totals.receivedBytes += error.receivedBytes;
      throw error;
    }
  }
}
