import { constants } from "node:fs";
import { open } from "node:fs/promises";
import type { CopyReport } from "../types.ts";
import { toJson } from "./escape.ts";
import { type Redact, redactNothing } from "./redact.ts";
import { codeOf, messageOf } from "./write-fully.ts";

/** Kubernetes keeps 4,096 bytes of a container, and 12 KiB of all of a pod: one line stays well below. */
const targetBytes = 2000;
const reasonBytes = 1000;
const fieldBytes = 240;
const mostFailures = 5;

/** What is known at the end; only the verdict where a run did not even begin. */
export type Verdict = Pick<CopyReport, "outcome" | "exitCode" | "reason"> &
  Partial<Pick<CopyReport, "durationSeconds" | "objects" | "bytes" | "failures" | "failuresOmitted">>;

/** One line of JSON for the termination log: never over 4,096 bytes, mostly under 2 KiB, whatever the failures say. */
export function terminationLine(verdict: Verdict, redact: Redact = redactNothing): string {
  const clip = (text: string, bytes: number) => clipText(redact(text), bytes);
  const known = verdict.failures ?? [];
  const all = known.length + (verdict.failuresOmitted ?? 0);
  const shown: object[] = [];
  const line = () =>
    `${toJson(
      {
        outcome: verdict.outcome,
        exitCode: verdict.exitCode,
        reason: clip(verdict.reason, reasonBytes),
        durationSeconds: verdict.durationSeconds,
        objects: verdict.objects,
        bytes: verdict.bytes,
        failures: shown,
        failuresOmitted: all - shown.length,
      },
      redactNothing,
    )}\n`;
  for (const failure of known.slice(0, mostFailures)) {
    shown.push({
      key: clip(failure.key, fieldBytes),
      kind: clip(failure.kind, fieldBytes),
      message: clip(failure.message, fieldBytes),
      requestId: failure.requestId === undefined ? undefined : clip(failure.requestId, fieldBytes),
    });
    if (Buffer.byteLength(line()) > targetBytes) {
      shown.pop();
      break;
    }
  }
  return line();
}

export interface TerminationLogOptions {
  /** Somebody named the file, so it is created if absent; an absent default is passed over in silence. */
  readonly create: boolean;
  readonly redact?: Redact;
}

/**
 * Writes the line in place, because the file is a mount of its own that cannot be replaced. A failure is not thrown: it
 * comes back as a sentence for a warning.
 */
export async function writeTerminationLog(
  verdict: Verdict,
  path: string,
  { create, redact = redactNothing }: TerminationLogOptions,
): Promise<string | undefined> {
  // Not to wait for the reader of a FIFO.
  const flags = constants.O_WRONLY | constants.O_TRUNC | constants.O_NONBLOCK | (create ? constants.O_CREAT : 0);
  try {
    await using file = await open(path, flags, 0o644);
    await file.writeFile(terminationLine(verdict, redact));
    return undefined;
  } catch (error) {
    if (!create && codeOf(error) === "ENOENT") return undefined;
    return redact(`cannot write the termination log ${path}: ${messageOf(error)}`);
  }
}

/** The longest beginning of whole characters whose JSON takes at most `bytes`, with an ellipsis if something is missing. */
function clipText(text: string, bytes: number): string {
  if (jsonBytes(text) <= bytes) return text;
  let room = bytes - jsonBytes("…");
  let end = 0;
  for (const character of text) {
    room -= jsonBytes(character);
    if (room < 0) break;
    end += character.length;
  }
  return `${text.slice(0, end)}…`;
}

function jsonBytes(text: string): number {
  return Buffer.byteLength(toJson(text, redactNothing)) - 2;
}
