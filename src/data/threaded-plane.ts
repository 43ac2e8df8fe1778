import type { SigningState } from "../oss/signing.ts";
import type {
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
} from "../types.ts";
import { heldBytesOf, type PlaneSetup } from "./build-plane.ts";
import type { DataThread } from "./data-thread.ts";
import { largestWholeBytes, leaseBytes } from "./slabs.ts";
import { restoreError } from "./thread-protocol.ts";

export interface ThreadedPlaneOptions {
  readonly setup: PlaneSetup;
  /** That have no plane yet; they end with this one. */
  readonly threads: readonly DataThread[];
  readonly signing: SigningState;
  /** Calls back with each change of what requests are signed with, until the returned function is called. */
  readonly onSigningChange: (listener: (state: SigningState) => void) => () => void;
}

/** A large file: made and settled by one thread, written by all through descriptors of their own. */
interface SharedFile {
  readonly target: FileTarget;
  readonly owner: DataThread;
  /** The file's number in each thread that has it open. */
  readonly ids: Map<DataThread, Promise<FileId>>;
}

/** The data plane over worker threads: every request goes to the thread that has the fewest. */
export class ThreadedPlane implements DataPlane {
  readonly wholeBytes = largestWholeBytes;
  readonly heldBytes: number;
  readonly #threads: readonly DataThread[];
  readonly #threadBytes: number;
  readonly #files = new Map<FileId, SharedFile>();
  readonly #unsubscribe: () => void;
  #nextFile = 1;

  constructor({ setup, threads, signing, onSigningChange }: ThreadedPlaneOptions) {
    this.heldBytes = heldBytesOf(setup.writer);
    this.#threadBytes = Math.floor(setup.memoryBytes / threads.length);
    const each: PlaneSetup = {
      ...setup,
      memoryBytes: this.#threadBytes,
      transport: {
        ...setup.transport,
        options: {
          ...setup.transport.options,
          connections: Math.max(1, Math.ceil(setup.transport.options.connections / threads.length)),
        },
      },
    };
    this.#threads = threads;
    for (const thread of threads) thread.open(each, signing);
    this.#unsubscribe = onSigningChange((state) => {
      for (const thread of this.#threads) thread.sign(state);
    });
  }

  bufferCost(bodyBytes: number): number {
    return leaseBytes(bodyBytes, this.#threadBytes);
  }

  copyWholes(requests: readonly WholeRequest[], signal: AbortSignal, watcher: WholeWatcher): void {
    this.#idlest().copyWholes(requests, signal, watcher);
  }

  async openFile(target: FileTarget): Promise<FileId> {
    const owner = this.#idlest();
    return this.#share(target, owner, await owner.call("openFile", [target]));
  }

  async reopenFile(target: FileTarget, leastBytes: number): Promise<FileId | undefined> {
    const owner = this.#idlest();
    const opened = await owner.call("reopenFile", [target, leastBytes]);
    return opened === undefined ? undefined : this.#share(target, owner, opened);
  }

  clearPlace(target: FileTarget): Promise<boolean> {
    return this.#idlest().call("clearPlace", [target]);
  }

  async copyRange(request: RangeRequest, signal: AbortSignal): Promise<RangeResult> {
    const shared = this.#file(request.file);
    const thread = this.#idlest();
    const file = await this.#join(shared, thread);
    return thread.call("copyRange", [{ ...request, file }], signal);
  }

  async fileMd5(file: FileId, sizeBytes: number, signal: AbortSignal): Promise<string> {
    const shared = this.#file(file);
    await this.#leave(shared);
    return shared.owner.call("fileMd5", [await this.#join(shared, shared.owner), sizeBytes], signal);
  }

  async settleFile(file: FileId): Promise<void> {
    const shared = this.#file(file);
    await this.#leave(shared);
    await shared.owner.call("settleFile", [await this.#join(shared, shared.owner)]);
    this.#files.delete(file);
  }

  async abandonFile(file: FileId): Promise<void> {
    const shared = this.#file(file);
    await this.#leave(shared);
    await shared.owner.call("abandonFile", [await this.#join(shared, shared.owner)]);
    this.#files.delete(file);
  }

  async leaveFile(file: FileId): Promise<void> {
    const shared = this.#file(file);
    await this.#leave(shared);
    await shared.owner.call("leaveFile", [await this.#join(shared, shared.owner)]);
    this.#files.delete(file);
  }

  makeDirectory(path: SafePath): Promise<void> {
    return this.#idlest().call("makeDirectory", [path]);
  }

  inspect(paths: readonly SafePath[]): Promise<readonly (ExistingFile | undefined)[]> {
    return this.#idlest().call("inspect", [paths]);
  }

  async publish(targets: readonly FileTarget[]): Promise<readonly (undefined | Error)[]> {
    const results = await this.#idlest().call("publish", [targets]);
    return results.map((error) => error && restoreError(error));
  }

  async syncDirectories(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.call("syncDirectories", [])));
  }

  stats(): PlaneStats {
    const sum = { receivedBytes: 0, writtenBytes: 0, sourceSeconds: 0, diskSeconds: 0, bufferBytes: 0 };
    for (const { stats } of this.#threads) {
      sum.receivedBytes += stats.receivedBytes;
      sum.writtenBytes += stats.writtenBytes;
      sum.sourceSeconds += stats.sourceSeconds;
      sum.diskSeconds += stats.diskSeconds;
      sum.bufferBytes += stats.bufferBytes;
    }
    return sum;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unsubscribe();
    await Promise.all(this.#threads.map((thread) => thread[Symbol.asyncDispose]()));
  }

  #share(target: FileTarget, owner: DataThread, opened: FileId): FileId {
    const id = this.#nextFile++;
    this.#files.set(id, { target, owner, ids: new Map([[owner, Promise.resolve(opened)]]) });
    return id;
  }

  /** The file's number in `thread`, opened there first if need be. */
  #join(shared: SharedFile, thread: DataThread): Promise<FileId> {
    const known = shared.ids.get(thread);
    if (known !== undefined) return known;
    const joining = (async () => {
      const ownId = await this.#join(shared, shared.owner);
      const descriptor = await shared.owner.call("shareFile", [ownId]);
      return thread.call("joinFile", [shared.target, descriptor]);
    })();
    shared.ids.set(thread, joining);
    return joining;
  }

  /** Closes the file in all threads but its owner; their writes have ended. */
  async #leave({ ids, owner }: SharedFile): Promise<void> {
    for (const [thread, joining] of ids) {
      if (thread === owner) continue;
      ids.delete(thread);
      const id = await joining.catch(() => undefined); // whoever needed it has the error
      if (id !== undefined) await thread.call("leaveFile", [id]);
    }
  }

  #file(id: FileId): SharedFile {
    const file = this.#files.get(id);
    if (!file) throw new Error(`file ${id} is not open`);
    return file;
  }

  #idlest(): DataThread {
    const [first, ...rest] = this.#threads;
    if (!first) throw new RangeError("a data plane without threads");
    return rest.reduce((least, thread) => (thread.load < least.load ? thread : least), first);
  }
}
