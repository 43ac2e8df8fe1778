import { ConfigError, CopyError, type ErrorKind, Interruption } from "../errors.ts";
import type { Failure } from "../types.ts";
import { exitCodeOf, exitCodes } from "./exit-code.ts";
import type { Ledger } from "./ledger.ts";
import { TooManyFailures } from "./too-many-failures.ts";

/** How a run ended, for the exit code, the report and the last line of the log. */
export interface Verdict {
  readonly outcome: "complete" | "failed" | "interrupted";
  readonly exitCode: number;
  /** One sentence. */
  readonly reason: string;
  /** What failed, so that the next attempt can tell whether it failed the same way. */
  readonly kind: ErrorKind | "configuration" | "defect" | "signal" | undefined;
}

/** Judges a run by what its objects came to and by what cut it short, if anything did (`thrown`). */
export function judge(ledger: Ledger, thrown: { readonly error: unknown } | undefined, success: string): Verdict {
  const error = firstOf(thrown?.error);
  if (error instanceof Interruption) {
    const exitCode = error.signal === "SIGINT" ? exitCodes.interrupted : exitCodes.terminated;
    return { outcome: "interrupted", exitCode, reason: `${error.message}; ${soFar(ledger)}`, kind: "signal" };
  }
  if (error instanceof ConfigError) {
    const { problems } = error;
    return { outcome: "failed", exitCode: exitCodes.configuration, reason: problems.join("; "), kind: "configuration" };
  }
  if (error instanceof CopyError) {
    const exitCode = exitCodeOf([error.kind, ...ledger.failureKinds]);
    return { outcome: "failed", exitCode, reason: error.message, kind: error.kind };
  }
  if (thrown && !(error instanceof TooManyFailures)) {
    const reason = `defect: ${error instanceof Error ? error.message : String(error)}`;
    return { outcome: "failed", exitCode: exitCodes.defect, reason, kind: "defect" };
  }
  if (ledger.failureKinds.size > 0) return judgeFailures(ledger);
  return { outcome: "complete", exitCode: exitCodes.complete, reason: success, kind: undefined };
}

/** What failed first: an error while cleaning up after another comes wrapped around that one. */
function firstOf(error: unknown): unknown {
  return error instanceof SuppressedError ? firstOf(error.suppressed) : error;
}

function judgeFailures(ledger: Ledger): Verdict {
  const count = ledger.failureCount;
  const [first] = ledger.failures;
  const head = count === 1 ? "1 object failed" : `${count.toLocaleString("en")} objects failed, the first of them`;
  const [kind] = ledger.failureKinds;
  return {
    outcome: "failed",
    exitCode: exitCodeOf(ledger.failureKinds),
    reason: `${head}: ${first === undefined ? "unknown" : sentenceOf(first)}`,
    kind,
  };
}

/** A connection that broke does not know what it was for. */
function sentenceOf({ key, message }: Failure): string {
  const quoted = JSON.stringify(key);
  return message.includes(key) || message.includes(quoted) ? message : `${quoted}: ${message}`;
}

function soFar(ledger: Ledger): string {
  const { copied, listed } = ledger.counts;
  return `${copied.objects.toLocaleString("en")} of ${listed.objects.toLocaleString("en")} listed objects were done`;
}
