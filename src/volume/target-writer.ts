import type { ExistingFile, FileTarget, SafePath } from "../types.ts";

/** A large object's bytes on the target, while they arrive in pieces. Methods throw CopyError. */
export interface OpenFile {
  /** By which another thread of this process can join in writing. */
  readonly descriptor: number;
  /** Writes at a multiple of 4 KiB; the memory is the file's until the promise settles. */
  write(bytes: Uint8Array, offset: number): Promise<void>;
  /** Base64 MD5 of the first `sizeBytes` as they can be read back. */
  md5(sizeBytes: number, signal: AbortSignal): Promise<string>;
  /** Puts what was written before the call on stable storage. */
  sync(): Promise<void>;
  /** The object is complete and verified. */
  settle(): Promise<void>;
  /** Closes it after the last write; what was written goes too, if asked and if it can. */
  abandon(options: { readonly remove: boolean }): Promise<void>;
}

/** What a data thread can do to a target, be it a volume or a device. Methods throw CopyError. */
export interface TargetWriter extends Disposable {
  /** Makes a complete file in one go, in this thread. */
  writeWhole(target: FileTarget, bytes: Uint8Array): void;
  /** Whether many `writeWholePooled` at once are faster than `writeWhole` in a row. */
  readonly prefersPool: boolean;
  /** Like `writeWhole`, in the thread pool; the bytes are in use until the promise settles. */
  writeWholePooled(target: FileTarget, bytes: Uint8Array): Promise<void>;
  /** Whether files are to be synced one by one. */
  readonly fsyncsFiles: boolean;
  openFile(target: FileTarget): Promise<OpenFile>;
  /** Goes on with what an earlier run left, if it is at least `leastBytes` long. */
  reopenFile(target: FileTarget, leastBytes: number): OpenFile | undefined;
  /** Opens once more what another writer of this process has open and will settle. */
  joinFile(target: FileTarget, descriptor: number): OpenFile;
  /** Removes what an earlier run left where this target is to be made anew. Whether there was anything. */
  clearPlace(target: FileTarget): boolean;
  makeDirectory(path: SafePath): void;
  inspect(paths: readonly SafePath[]): Promise<(ExistingFile | undefined)[]>;
  publish(targets: readonly FileTarget[]): Promise<(undefined | Error)[]>;
  syncDirectories(): Promise<void>;
}
