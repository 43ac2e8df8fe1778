import { createHash } from "node:crypto";
import { chooseCheck } from "../checksum/check.ts";
import { CopyError } from "../errors.ts";
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
  Transport,
  Verification,
  WholeRequest,
  WholeWatcher,
} from "../types.ts";
import type { OpenFile, TargetWriter } from "../volume/target-writer.ts";
import { RangeSink } from "./range-sink.ts";
import { largestWholeBytes, leaseBytes, type Slabs } from "./slabs.ts";
import { WholeSink } from "./whole-sink.ts";

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
  readonly #totals = { receivedBytes: 0, writtenBytes: 0, sourceSeconds: 0, diskSeconds: 0 };
  #nextFile = 1;

  constructor(parts: LocalPlaneParts) {
    this.#parts = parts;
  }

  get heldBytes(): number {
    return this.#parts.heldBytes;
  }

  bufferCost(bodyBytes: number): number {
    return leaseBytes(bodyBytes);
  }

  copyWholes(requests: readonly WholeRequest[], signal: AbortSignal, watcher: WholeWatcher): void {
    for (const [index, request] of requests.entries()) {
      this.#copyWhole(request, signal).then(
        (verification) => watcher.copied(index, verification),
        (error: unknown) => watcher.failed(index, error),
      );
    }
  }

  async #copyWhole({ key, etag, target }: WholeRequest, signal: AbortSignal): Promise<Verification> {
    const { reader, slabs, writer } = this.#parts;
    using lease = slabs.tryLease(target.sizeBytes) ?? (await slabs.lease(target.sizeBytes));
    const [slab] = lease.slabs;
    if (!slab) throw new RangeError("a lease without a slab");
    const sink = new WholeSink(slab, target.sizeBytes);
    const startMs = performance.now();
    const head = await this.#counted(() => reader.read({ key, etag, objectBytes: target.sizeBytes }, sink, signal));
    const receivedMs = performance.now();
    this.#totals.receivedBytes += target.sizeBytes;
    this.#totals.sourceSeconds += (receivedMs - startMs) / 1000;
    const crc = slabs.kernel.update(0n, slab.offset, target.sizeBytes);
    const verification = verifyWhole(key, head, crc, sink.bytes);
    if (writer.prefersPool) await writer.writeWholePooled(target, sink.bytes);
    else writer.writeWhole(target, sink.bytes);
    this.#totals.writtenBytes += target.sizeBytes;
    this.#totals.diskSeconds += (performance.now() - receivedMs) / 1000;
    return verification;
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

function verifyWhole(key: string, head: ObjectHead, crc: bigint, bytes: Uint8Array): Verification {
  const check = chooseCheck(head);
  if (check.by === "length") return "lengthOnly";
  if (check.by === "crc64") {
    if (crc === check.expected) return "crc64";
    throw new CopyError(
      "corrupt",
      `object ${JSON.stringify(key)}: CRC-64 is ${crc}, the service says ${check.expected}`,
    );
  }
  const md5 = createHash("md5").update(bytes).digest("base64");
  if (md5 === check.expected) return "md5";
  if (!check.binding) return "lengthOnly";
  throw new CopyError("corrupt", `object ${JSON.stringify(key)}: MD5 is ${md5}, the service says ${check.expected}`);
}
