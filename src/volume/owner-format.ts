/** How an attempt ended. */
export interface RecordedFailure {
  /** ISO 8601. */
  readonly at: string;
  readonly exitCode: number;
  readonly kind: string;
  /** One sentence. */
  readonly reason: string;
  /** How many attempts in a row ended with this exit code and kind, this one included. */
  readonly inARow: number;
}

/** Whose data is on the volume. While it exists and `startedEmpty` holds, all but `lost+found` is ours. */
export interface OwnerRecord {
  /** Digest of every option that changes the result. */
  readonly fingerprint: string;
  /** What is being copied, for messages. */
  readonly source: string;
  readonly startedEmpty: boolean;
  /**
   * What the filesystem's clock said when the first attempt at this work began, in milliseconds: no file of it is older.
   * Only where the volume did not begin empty.
   */
  readonly filledSinceMs?: number | undefined;
  /** ISO 8601. */
  readonly firstStartedAt: string;
  /** Attempts begun, the present one included. */
  readonly attempts: number;
  readonly lastFailure: RecordedFailure | undefined;
}

/** A record that says nothing about whose data this is; `reason` is one sentence. */
export interface Unusable {
  /** `damaged`: ours, not readable. `newer`: of a later version of this program. `foreign`: not ours. */
  readonly status: "damaged" | "newer" | "foreign";
  readonly reason: string;
}

export type OwnerState =
  | { readonly status: "absent" }
  | { readonly status: "ours"; readonly record: OwnerRecord }
  | Unusable;

/** The record of another attempt; `previous` is that of the same work which an earlier attempt left. */
export function nextAttempt(
  fresh: Pick<OwnerRecord, "fingerprint" | "source" | "startedEmpty" | "filledSinceMs" | "firstStartedAt">,
  previous: OwnerRecord | undefined,
): OwnerRecord {
  const { fingerprint, source, filledSinceMs } = fresh;
  const { startedEmpty, firstStartedAt } = previous ?? fresh;
  const attempts = (previous?.attempts ?? 0) + 1;
  const lastFailure = previous?.lastFailure;
  return { fingerprint, source, startedEmpty, filledSinceMs, firstStartedAt, attempts, lastFailure };
}

/** The record after its attempt has failed. */
export function withFailure(record: OwnerRecord, failure: Omit<RecordedFailure, "inARow">): OwnerRecord {
  const last = record.lastFailure;
  const same = last?.exitCode === failure.exitCode && last.kind === failure.kind;
  return { ...record, lastFailure: { ...failure, inARow: same ? last.inARow + 1 : 1 } };
}

const formatName = "oss-populator.owner";
const formatVersion = 1;

/** The text of `owner.json`. */
export function stringifyOwnerRecord(record: OwnerRecord): string {
  return `${JSON.stringify({ format: `${formatName}/v${formatVersion}`, ...record }, undefined, 2)}\n`;
}

/** Reads the text of `owner.json`, which anyone may have written. */
export function parseOwnerRecord(text: string): OwnerState {
  const value = parsedObject(text);
  if (value === undefined) return { status: "damaged", reason: "the owner record on the target is damaged" };
  const format = typeof value.format === "string" ? value.format : "";
  const [name, version] = format.split("/v");
  if (name !== formatName || !/^\d+$/.test(version ?? "")) {
    return { status: "foreign", reason: "the owner record on the target is not one of this program" };
  }
  if (Number(version) > formatVersion) {
    return {
      status: "newer",
      reason: `the owner record on the target has format ${version}, newer than ${formatVersion}`,
    };
  }
  const record = recordOf(value);
  return record === undefined
    ? { status: "damaged", reason: "the owner record on the target lacks fields or has wrong ones" }
    : { status: "ours", record };
}

function recordOf(value: Readonly<Record<string, unknown>>): OwnerRecord | undefined {
  const { fingerprint, source, startedEmpty, filledSinceMs, firstStartedAt, attempts, lastFailure } = value;
  if (typeof fingerprint !== "string" || typeof source !== "string" || typeof startedEmpty !== "boolean")
    return undefined;
  if (!isTime(firstStartedAt) || !isCount(attempts)) return undefined;
  if (filledSinceMs !== undefined && typeof filledSinceMs !== "number") return undefined;
  const failure = lastFailure === undefined ? undefined : failureOf(lastFailure);
  if (lastFailure !== undefined && failure === undefined) return undefined;
  return { fingerprint, source, startedEmpty, filledSinceMs, firstStartedAt, attempts, lastFailure: failure };
}

function failureOf(value: unknown): RecordedFailure | undefined {
  if (!isObject(value)) return undefined;
  const { at, exitCode, kind, reason, inARow } = value;
  if (!isTime(at) || !isCount(exitCode) || !isCount(inARow)) return undefined;
  if (typeof kind !== "string" || typeof reason !== "string") return undefined;
  return { at, exitCode, kind, reason, inARow };
}

function parsedObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTime(value: unknown): value is string {
  return typeof value === "string" && !Number.isNaN(Date.parse(value));
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
