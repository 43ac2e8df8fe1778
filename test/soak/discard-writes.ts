/**
 * Preloaded into the program under test: what its data threads write is dropped, unless it comes within 8 MiB behind one of
 * the offsets in KEEP_AT. So an object needs no more room than that, and can be looked at there.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { promisify } from "node:util";
import { isMainThread } from "node:worker_threads";

export const keptBytes = 8 * 2 ** 20;

if (!isMainThread) {
  const kept = (process.env.KEEP_AT ?? "").split(",").map(Number);
  const isKept = (start: number, length: number): boolean =>
    kept.some((offset) => start < offset + keptBytes && start + length > offset);
  const write = promisify(fs.write);
  const sometimes = async (fd: number, bytes: Uint8Array, offset: number, length: number, position: number) =>
    isKept(position, length)
      ? await write(fd, bytes, offset, length, position)
      : { bytesWritten: length, buffer: bytes };
  // Promisified is the only way in which threads call it with a position.
  Reflect.set(fs.write, promisify.custom, sometimes);
  syncBuiltinESMExports();
}
