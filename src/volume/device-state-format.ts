import { createHash } from "node:crypto";
import { type OwnerRecord, parseOwnerRecord, stringifyOwnerRecord, type Unusable } from "./owner-format.ts";

/** What a run that fills a device leaves on it for the next one. */
export interface DeviceState {
  /** Counts the states that were saved: of two that are intact the higher one is the newer. */
  readonly sequence: number;
  /** Of the whole device; another size means that the state was moved with it. */
  readonly deviceBytes: number;
  /** Whether the beginning of the device was about to be written: what stands there then is ours. */
  readonly finishing: boolean;
  /** Behind it, no run of ours has written anything. */
  readonly reachBytes: number;
  /** The percentage that watchers of the metrics have been shown, at least. */
  readonly shownPercent: number;
  readonly owner: OwnerRecord;
  /** As the engine wrote it; undefined before the first. */
  readonly checkpoint: string | undefined;
}

export type FoundDeviceState =
  | { readonly status: "absent" }
  | { readonly status: "ours"; readonly state: DeviceState }
  | Unusable;

const formatName = "oss-populator.device";
const formatVersion = 1;
const place = "the state at the end of the device";

/** Three lines: name and version, JSON, SHA-256 of both. */
export function stringifyDeviceState(state: DeviceState): string {
  const { sequence, deviceBytes, finishing, reachBytes, shownPercent, owner, checkpoint = null } = state;
  const json = JSON.stringify({
    sequence,
    deviceBytes,
    finishing,
    reachBytes,
    shownPercent,
    owner: stringifyOwnerRecord(owner),
    checkpoint,
  });
  const text = `${formatName}/v${formatVersion}\n${json}\n`;
  return `${text}${sha256(text)}\n`;
}

/** Reads what stands in one of the places for a state, whoever wrote it; what follows its third line does not count. */
export function parseDeviceState(bytes: Uint8Array): FoundDeviceState {
  if (bytes.every((byte) => byte === 0)) return { status: "absent" };
  // Every byte is one character, so that what is not text cannot change on the way.
  const [name = "", json = "", checksum = "", rest] = Buffer.from(bytes).toString("latin1").split("\n", 4);
  const version = /^oss-populator\.device\/v(\d{1,9})$/.exec(name)?.[1];
  if (version === undefined) return { status: "foreign", reason: `${place} is not one of this program` };
  if (Number(version) > formatVersion) {
    return { status: "newer", reason: `${place} has format ${version}, newer than ${formatVersion}` };
  }
  if (rest === undefined || checksum !== sha256(Buffer.from(`${name}\n${json}\n`, "latin1")))
    return damaged("its checksum is wrong");
  if (Number(version) !== formatVersion) return damaged(`it has format ${version}`);
  return stateOf(Buffer.from(json, "latin1").toString("utf8"));
}

/** Of two places, the newer intact state; otherwise what is most to be wary of. */
export function chooseDeviceState(places: readonly FoundDeviceState[]): FoundDeviceState {
  const newer = places.find(({ status }) => status === "newer");
  if (newer) return newer;
  const [newest] = places
    .flatMap((found) => (found.status === "ours" ? [found] : []))
    .toSorted((a, b) => b.state.sequence - a.state.sequence);
  const rest = (["damaged", "foreign"] as const).map((wanted) => places.find(({ status }) => status === wanted));
  return newest ?? rest[0] ?? rest[1] ?? { status: "absent" };
}

function stateOf(json: string): FoundDeviceState {
  const value = parsedObject(json);
  if (value === undefined) return damaged("it is not JSON");
  // Without a percentage nothing has been shown.
  const { sequence, deviceBytes, finishing, reachBytes, shownPercent = 0, owner, checkpoint } = value;
  if (!isCount(sequence) || !isCount(deviceBytes) || !isCount(reachBytes)) return damaged("it lacks counts");
  if (typeof shownPercent !== "number" || !(shownPercent >= 0 && shownPercent < 100)) {
    return damaged("its percentage is none");
  }
  if (typeof finishing !== "boolean") return damaged("it lacks a flag");
  if (typeof owner !== "string" || (typeof checkpoint !== "string" && checkpoint !== null)) {
    return damaged("it lacks texts");
  }
  const record = parseOwnerRecord(owner);
  if (record.status !== "ours") return damaged("its owner record is wrong");
  const texts = { owner: record.record, checkpoint: checkpoint ?? undefined };
  return { status: "ours", state: { sequence, deviceBytes, finishing, reachBytes, shownPercent, ...texts } };
}

function damaged(what: string): Unusable {
  return { status: "damaged", reason: `${place} is damaged: ${what}` };
}

function parsedObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? (value as Readonly<Record<string, unknown>>) : undefined; // just seen
  } catch {
    return undefined;
  }
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}
