import { chooseCheck } from "../checksum/check.ts";
import { combineCrc64 } from "../checksum/crc64.ts";
import { CopyError } from "../errors.ts";
import type {
  ByteRange,
  Clock,
  DataPlane,
  FileId,
  FileTarget,
  ObjectEntry,
  ObjectHead,
  ObjectSource,
  RangeResult,
  Verification,
} from "../types.ts";
import { currentVersion } from "./current-version.ts";
import type { CopyTask } from "./plan.ts";
import { planRanges } from "./plan-ranges.ts";
import type { Requests } from "./requests.ts";
import { backoffMs, verdicts } from "./retry.ts";

export interface ObjectParts {
  readonly plane: DataPlane;
  readonly source: ObjectSource;
  readonly requests: Requests;
  readonly clock: Clock;
  /** Bytes of one range request. */
  readonly rangeBytes: number;
  /** Ranges of one object that may be open at once. */
  readonly lanes: number;
  /** Times that an object may start over because it changed or did not match its checksum. */
  readonly restarts: number;
}

/** The version that was copied and what proved it right. */
export interface CopiedObject {
  readonly target: FileTarget;
  readonly verification: Verification;
}

/**
 * One object's life: ranges, length, checksum, settled file. Throws the CopyError that ended it, after every request
 * and write of it has ended and its file is gone.
 */
export async function copyObject(task: CopyTask, parts: ObjectParts, signal: AbortSignal): Promise<CopiedObject> {
  let entry = task.entry;
  for (let restarts = 0; ; restarts++) {
    const target: FileTarget = { ...task.target, sizeBytes: entry.sizeBytes, modifiedMs: entry.modifiedMs };
    try {
      return { target, verification: await copyVersion(entry, target, parts, signal) };
    } catch (error) {
      const again = error instanceof CopyError && verdicts[error.kind] === "restart-object";
      if (!again || restarts >= parts.restarts || signal.aborted) throw error;
      await parts.clock.sleep(backoffMs(restarts, parts.clock.random(), error.retryAfterMs), signal);
      if (error.kind === "changed") entry = await currentVersion(entry, parts, signal);
    }
  }
}

function copyVersion(entry: ObjectEntry, target: FileTarget, parts: ObjectParts, signal: AbortSignal) {
  const { plane, rangeBytes } = parts;
  const whole = entry.sizeBytes <= Math.min(plane.wholeBytes, rangeBytes);
  return whole ? copyWhole(entry, target, parts, signal) : copyRanges(entry, target, parts, signal);
}

async function copyWhole(
  entry: ObjectEntry,
  target: FileTarget,
  { plane, requests }: ObjectParts,
  signal: AbortSignal,
): Promise<Verification> {
  const kind = {
    operation: "get",
    what: entry.key,
    bodyBytes: entry.sizeBytes,
    bufferBytes: plane.bufferCost(entry.sizeBytes),
  } as const;
  const request = { key: entry.key, etag: entry.etag, target };
  const result = await requests.run(entry, kind, () => plane.copyWhole(request, signal), signal);
  return result.verification;
}

async function copyRanges(
  entry: ObjectEntry,
  target: FileTarget,
  parts: ObjectParts,
  signal: AbortSignal,
): Promise<Verification> {
  const { plane } = parts;
  const file = await plane.openFile(target);
  try {
    const results = await receiveRanges(entry, file, parts, signal);
    const verification = await verifyFile(entry, file, results, parts, signal);
    await plane.settleFile(file);
    return verification;
  } catch (error) {
    await plane.abandonFile(file);
    throw error;
  }
}

/** Receives all ranges, `lanes` at a time; the first error stops the others, and all have ended on return. */
async function receiveRanges(
  entry: ObjectEntry,
  file: FileId,
  parts: ObjectParts,
  runSignal: AbortSignal,
): Promise<RangeResult[]> {
  const ranges = planRanges(entry.sizeBytes, parts.rangeBytes);
  const results: RangeResult[] = [];
  const attempt = new AbortController();
  const stop = (): void => attempt.abort(runSignal.reason);
  runSignal.addEventListener("abort", stop, { once: true });
  if (runSignal.aborted) stop();
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < ranges.length && !attempt.signal.aborted; index = next++) {
      const range = ranges[index] as ByteRange; // index < length
      results[index] = await receiveRange(entry, file, range, parts, attempt.signal);
    }
  };
  const lanes = Array.from({ length: Math.min(parts.lanes, ranges.length) }, () =>
    lane().catch((error: unknown) => attempt.abort(error)),
  );
  await Promise.all(lanes);
  runSignal.removeEventListener("abort", stop);
  attempt.signal.throwIfAborted();
  return results;
}

function receiveRange(
  entry: ObjectEntry,
  file: FileId,
  range: ByteRange,
  { plane, requests }: ObjectParts,
  signal: AbortSignal,
): Promise<RangeResult> {
  const kind = {
    operation: "get",
    what: entry.key,
    bodyBytes: range.length,
    bufferBytes: plane.bufferCost(range.length),
  } as const;
  const request = { key: entry.key, etag: entry.etag, objectBytes: entry.sizeBytes, file, range };
  return requests.run(entry, kind, () => plane.copyRange(request, signal), signal);
}

async function verifyFile(
  entry: ObjectEntry,
  file: FileId,
  results: readonly RangeResult[],
  { plane, rangeBytes }: ObjectParts,
  signal: AbortSignal,
): Promise<Verification> {
  const head = commonHead(entry.key, results);
  const check = chooseCheck(head);
  switch (check.by) {
    case "crc64": {
      const lengths = planRanges(entry.sizeBytes, rangeBytes);
      const actual = results.reduce((crc, { crc64 }, i) => combineCrc64(crc, crc64, lengths[i]?.length ?? 0), 0n);
      if (actual === check.expected) return "crc64";
      throw new CopyError("corrupt", `object ${entry.key}: CRC-64 is ${actual}, the service says ${check.expected}`);
    }
    case "md5": {
      const actual = await plane.fileMd5(file, entry.sizeBytes, signal);
      if (actual === check.expected) return "md5";
      if (!check.binding) return "lengthOnly";
      throw new CopyError("corrupt", `object ${entry.key}: MD5 is ${actual}, the service says ${check.expected}`);
    }
    case "length":
      return "lengthOnly";
  }
}

/** The head that all answers share; answers that contradict each other are of different versions. */
function commonHead(key: string, results: readonly RangeResult[]): ObjectHead {
  const first = results[0]?.head;
  if (!first) throw new Error(`object ${key} has no ranges`);
  for (const { head } of results) {
    if (head.crc64 !== first.crc64 || head.etag !== first.etag) {
      throw new CopyError("changed", `object ${key} changed while its ranges were read`);
    }
  }
  return first;
}
