import { writeSync } from "node:fs";

const pauseMs = 5;
const pause = new Int32Array(new SharedArrayBuffer(4));

/**
 * Writes all of `bytes` to a descriptor and returns how many it took: fewer only if a non-blocking descriptor refused
 * for `patienceMs`. Throws the system's error.
 */
export function writeFully(fd: number, bytes: Uint8Array, patienceMs: number): number {
  let written = 0;
  let waitedMs = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(fd, bytes, written);
      waitedMs = 0;
    } catch (error) {
      if (codeOf(error) !== "EAGAIN") throw error;
      if (waitedMs >= patienceMs) break;
      Atomics.wait(pause, 0, 0, pauseMs);
      waitedMs += pauseMs;
    }
  }
  return written;
}

/** The errno name of a system error, if it is one. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** What a person reads of an unknown error. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
