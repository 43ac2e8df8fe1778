import { chooseCheck } from "../checksum/check.ts";
import { CopyError } from "../errors.ts";
import type {
  ByteRange,
  Clock,
  DataPlane,
  FileId,
  FileTarget,
  ObjectEntry,
  ObjectSource,
  RangeResult,
  Verification,
} from "../types.ts";
import { currentVersion } from "./current-version.ts";
import { LinkedAbort } from "./linked-abort.ts";
import type { CopyTask } from "./plan.ts";
import { planRanges } from "./plan-ranges.ts";
import { ReceivedRanges } from "./received-ranges.ts";
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
    const received = await receiveRanges(entry, file, parts, signal);
    const verification = await verifyFile(entry, file, received, plane, signal);
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
): Promise<ReceivedRanges> {
  const received = new ReceivedRanges(entry.key);
  using attempt = new LinkedAbort(runSignal);
  // Shared by the lanes: whoever is free takes the next range.
  const ranges = planRanges(entry.sizeBytes, parts.rangeBytes);
  const lane = async (): Promise<void> => {
    for (const range of ranges) {
      if (attempt.signal.aborted) return;
      received.add(range, await receiveRange(entry, file, range, parts, attempt.signal));
    }
  };
  const lanes = Math.min(parts.lanes, Math.ceil(entry.sizeBytes / parts.rangeBytes));
  const running = Array.from({ length: lanes }, () => lane().catch((error: unknown) => attempt.abort(error)));
  await Promise.all(running);
  attempt.signal.throwIfAborted();
  return received;
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
  { key, sizeBytes }: ObjectEntry,
  file: FileId,
  received: ReceivedRanges,
  plane: DataPlane,
  signal: AbortSignal,
): Promise<Verification> {
  const { crc64, head } = received.whole(sizeBytes);
  const check = chooseCheck(head);
  if (check.by === "length") return "lengthOnly";
  const actual = check.by === "crc64" ? crc64 : await plane.fileMd5(file, sizeBytes, signal);
  if (actual === check.expected) return check.by;
  if (check.by === "md5" && !check.binding) return "lengthOnly";
  const name = check.by === "crc64" ? "CRC-64" : "MD5";
  throw new CopyError(
    "corrupt",
    `object ${JSON.stringify(key)}: ${name} is ${actual}, the service says ${check.expected}`,
  );
}
