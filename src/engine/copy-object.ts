import { chooseCheck } from "../checksum/check.ts";
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
import { endOf, missingRanges } from "./checkpoint-extents.ts";
import { currentVersion } from "./current-version.ts";
import { LinkedAbort } from "./linked-abort.ts";
import type { OpenObject, ProgressList } from "./open-list-object.ts";
import type { CopyTask, PathRules } from "./plan.ts";
import { ReceivedRanges } from "./received-ranges.ts";
import type { Requests } from "./requests.ts";
import { backoffMs, verdicts } from "./retry.ts";
import { copyOne, isWhole, wholeKind } from "./whole-objects.ts";

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
  readonly rules: Pick<PathRules, "versionOf">;
}

/** The version that was copied and what proved it right. */
export interface CopiedObject {
  readonly target: FileTarget;
  readonly verification: Verification;
}

/** Where an object's progress is kept, so that another run can go on with it. */
export interface Tracked {
  readonly list: ProgressList;
  readonly open: OpenObject;
}

/**
 * One object's life: ranges, length, checksum, settled file. Throws the CopyError that ended it, after every request
 * and write of it has ended and its file is gone; if it is tracked, the file stays unless its bytes are of no use.
 * `earlier` is what its first attempt, made elsewhere, failed with.
 */
export async function copyObject(
  task: CopyTask,
  parts: ObjectParts,
  signal: AbortSignal,
  tracked?: Tracked,
  earlier?: CopyError,
): Promise<CopiedObject> {
  let entry = task.entry;
  for (let restarts = 0, failed = earlier; ; restarts++, failed = undefined) {
    const target = restarts === 0 ? task.target : targetOf(entry, task, parts);
    try {
      if (tracked)
        await makeWay(entry, target, { ...parts, earlier: task.earlier === true && restarts === 0 }, signal, tracked);
      const verification = isWhole(entry, parts)
        ? await copyWhole({ ...task, entry, target }, parts, signal, failed)
        : await copyRanges(entry, target, parts, signal, tracked);
      return { target, verification };
    } catch (error) {
      if (!(error instanceof CopyError) || restarts >= parts.restarts || signal.aborted) throw error;
      // A checkpoint may hold what a service told wrong; without another look every run would fail by it.
      if (restarts === 0 && task.earlier === true && error.kind === "protocol") {
        const current = await currentVersion(entry, parts, signal);
        if (isSame(current, entry)) throw error;
        entry = current;
        continue;
      }
      if (verdicts[error.kind] !== "restart-object") throw error;
      await parts.clock.sleep(backoffMs(restarts, parts.clock.random(), error.retryAfterMs), signal);
      if (error.kind === "changed") entry = await currentVersion(entry, parts, signal);
    }
  }
}

/** Whether two entries for one key are of the same version and length. */
function isSame(one: ObjectEntry, other: ObjectEntry): boolean {
  return one.etag === other.etag && one.sizeBytes === other.sizeBytes;
}

/** Where another version of the object is made: under a temporary name of its own, so that no run takes one for the other. */
function targetOf(entry: ObjectEntry, { target: { path } }: CopyTask, { rules }: ObjectParts): FileTarget {
  const { sizeBytes, modifiedMs } = entry;
  return { path, sizeBytes, modifiedMs, version: rules.versionOf(entry) };
}

/** Unless there are extents to go on with, nothing is left of the object then, and no checkpoint says otherwise. */
async function makeWay(
  entry: ObjectEntry,
  target: FileTarget,
  parts: ObjectParts & { readonly earlier: boolean },
  signal: AbortSignal,
  { list, open }: Tracked,
): Promise<void> {
  if (open.extents.length > 0 && !isWhole(entry, parts)) return;
  await list.startOver(open, entry, signal);
  if (parts.earlier) await parts.plane.clearPlace(target);
}

function copyWhole(
  task: CopyTask,
  { plane, requests }: ObjectParts,
  signal: AbortSignal,
  earlier: CopyError | undefined,
): Promise<Verification> {
  const { entry, target } = task;
  const request = { key: entry.key, etag: entry.etag, target };
  const attempt = (): Promise<Verification> => copyOne(plane, request, signal);
  return requests.run(entry, wholeKind(task, plane), attempt, signal, earlier);
}

async function copyRanges(
  entry: ObjectEntry,
  target: FileTarget,
  parts: ObjectParts,
  signal: AbortSignal,
  tracked: Tracked | undefined,
): Promise<Verification> {
  const { plane } = parts;
  const file = await openFile(entry, target, plane, signal, tracked);
  try {
    const received = await receiveRanges(entry, file, parts, signal, tracked?.open);
    const verification = await verifyFile(entry, file, received, parts, signal);
    await plane.settleFile(file);
    return verification;
  } catch (error) {
    if (tracked && tracked.open.extents.length > 0 && (signal.aborted || !isUseless(error))) {
      await plane.leaveFile(file);
    } else {
      tracked?.open.reset(entry);
      await plane.abandonFile(file);
    }
    throw error;
  }
}

/** Whether an object's bytes are of no use to a later attempt or run. */
function isUseless(error: unknown): boolean {
  if (!(error instanceof CopyError)) return false;
  return verdicts[error.kind] === "restart-object" || error.kind === "missing" || error.kind === "unsupported";
}

async function openFile(
  entry: ObjectEntry,
  target: FileTarget,
  plane: DataPlane,
  signal: AbortSignal,
  tracked: Tracked | undefined,
): Promise<FileId> {
  const last = tracked?.open.extents.at(-1);
  if (!tracked || !last) return plane.openFile(target);
  const file = await plane.reopenFile(target, endOf(last));
  if (file !== undefined) return file;
  await tracked.list.startOver(tracked.open, entry, signal);
  return plane.openFile(target);
}

/** Receives all ranges, `lanes` at a time; the first error stops the others, and all have ended on return. */
async function receiveRanges(
  entry: ObjectEntry,
  file: FileId,
  parts: ObjectParts,
  runSignal: AbortSignal,
  open: OpenObject | undefined,
): Promise<ReceivedRanges> {
  const extents = open?.extents ?? [];
  const received = new ReceivedRanges(entry.key, extents);
  using attempt = new LinkedAbort(runSignal);
  // Shared by the lanes: whoever is free takes the next range.
  const { heldBytes } = parts.plane;
  const ranges = missingRanges(entry.sizeBytes, parts.rangeBytes, extents, heldBytes);
  const lane = async (): Promise<void> => {
    for (const range of ranges) {
      if (attempt.signal.aborted) return;
      const result = await receiveRange(entry, file, range, parts, attempt.signal);
      received.add(range, result);
      if (range.start >= heldBytes) open?.extent({ ...range, crc64: result.crc64 });
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

/** Earlier runs received all bytes: only the checksum is still to be asked for. Throws CopyError `changed`. */
async function askHead(entry: ObjectEntry, parts: ObjectParts, signal: AbortSignal): Promise<ObjectHead> {
  const kind = { operation: "head", what: entry.key, bodyBytes: 0, bufferBytes: 0 } as const;
  const head = await parts.requests.run(entry, kind, () => parts.source.head(entry.key, signal), signal);
  if (head.etag === entry.etag && head.sizeBytes === entry.sizeBytes) return head;
  throw new CopyError("changed", `object ${JSON.stringify(entry.key)} changed after its last range was read`);
}

async function verifyFile(
  entry: ObjectEntry,
  file: FileId,
  received: ReceivedRanges,
  parts: ObjectParts,
  signal: AbortSignal,
): Promise<Verification> {
  const { plane } = parts;
  const { key, sizeBytes } = entry;
  const { crc64, head } = received.whole(sizeBytes);
  const check = chooseCheck(head ?? (await askHead(entry, parts, signal)));
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
