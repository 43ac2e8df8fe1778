import { expect, test } from "vitest";
import { exitCodeOf } from "../../src/engine/exit-code.ts";
import { Ledger } from "../../src/engine/ledger.ts";
import { TooManyFailures } from "../../src/engine/too-many-failures.ts";
import { judge } from "../../src/engine/verdict.ts";
import { ConfigError, CopyError, type ErrorKind, errorKinds, Interruption } from "../../src/errors.ts";
import { RecordingMetrics, silentLogger } from "../support/observers.ts";
import { entryOf } from "../support/sources.ts";

function ledgerOf(...kinds: readonly ErrorKind[]): Ledger {
  const ledger = new Ledger(new RecordingMetrics(), silentLogger);
  for (const kind of kinds) ledger.failed(entryOf(kind), new CopyError(kind, `${kind} happened`));
  return ledger;
}

const thrown = (error: unknown): { error: unknown } => ({ error });
const codeOf = (error: unknown, ...kinds: readonly ErrorKind[]): number =>
  judge(ledgerOf(...kinds), thrown(error), "done").exitCode;

test("every kind has its code", () => {
  const codes = Object.fromEntries(errorKinds.map((kind) => [kind, exitCodeOf([kind])]));
  expect(codes).toEqual({
    unreachable: 7,
    interrupted: 7,
    protocol: 7,
    server: 7,
    throttled: 7,
    outage: 7,
    busy: 7,
    identity: 7,
    expired: 3,
    auth: 3,
    credentials: 3,
    source: 3,
    missing: 4,
    rejected: 4,
    unsupported: 4,
    changed: 6,
    corrupt: 6,
    different: 6,
    occupied: 5,
    "volume-full": 5,
    volume: 5,
  });
  expect(exitCodeOf([])).toBe(0);
});

test("of several failures the target's wins, then integrity, source, objects, and what passes", () => {
  const inOrder: ErrorKind[] = ["volume", "corrupt", "source", "missing", "server"];
  for (let from = 0; from < inOrder.length; from++) {
    const kinds = inOrder.slice(from);
    const [strongest] = kinds;
    expect(exitCodeOf(kinds.toReversed())).toBe(strongest && exitCodeOf([strongest]));
  }
});

test("without failures a run is complete", () => {
  expect(judge(ledgerOf(), undefined, "all done")).toEqual({
    outcome: "complete",
    exitCode: 0,
    reason: "all done",
    kind: undefined,
  });
});

test("a defect wins over everything, a wrong configuration over every failure, a signal over failures", () => {
  expect(codeOf(new TypeError("bug"), "volume")).toBe(1);
  expect(codeOf(undefined, "volume")).toBe(1);
  expect(codeOf(new ConfigError(["wrong"]), "volume")).toBe(2);
  expect(judge(ledgerOf("volume"), thrown(new Interruption("SIGTERM")), "")).toMatchObject({
    outcome: "interrupted",
    exitCode: 143,
  });
  expect(codeOf(new Interruption("SIGINT"))).toBe(130);
});

test("what cut a run short is judged together with what failed before", () => {
  expect(codeOf(new CopyError("server", ""))).toBe(7);
  expect(codeOf(new CopyError("server", ""), "corrupt")).toBe(6);
  expect(codeOf(new CopyError("volume", ""), "missing")).toBe(5);
});

test("too many failures are judged by the failures", () => {
  expect(codeOf(new TooManyFailures(), "missing", "corrupt")).toBe(6);
});

test("an error while cleaning up does not hide the one that came first", () => {
  const cleanUp = new CopyError("volume", "cannot remove");
  const suppressed = new SuppressedError(cleanUp, new Interruption("SIGTERM"), "");
  expect(codeOf(suppressed)).toBe(143);
  expect(codeOf(new SuppressedError(new Error("cannot close"), suppressed, ""))).toBe(143);
});

test("the reason names the first failure and how many there were", () => {
  expect(judge(ledgerOf("missing"), undefined, "").reason).toBe("1 object failed: missing happened");
  expect(judge(ledgerOf("missing", "corrupt"), undefined, "").reason).toBe(
    "2 objects failed, the first of them: missing happened",
  );
});

test("differences that are no objects are counted too", () => {
  const ledger = ledgerOf();
  ledger.unlisted("extra", new CopyError("different", "not in the source"));
  expect(judge(ledger, undefined, "")).toMatchObject({
    exitCode: 6,
    reason: '1 object failed: "extra": not in the source',
  });
});
