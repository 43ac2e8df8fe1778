import { expect, test } from "vitest";
import { createDecision, createFillDecision } from "../../src/engine/decide-copy.ts";
import type { CopyTask } from "../../src/engine/plan.ts";
import type { ExistingFile, SafePath } from "../../src/types.ts";
import { entryOf } from "../support/sources.ts";

const listedMs = 1_700_000_000_500;

function task(kind: CopyTask["kind"]): CopyTask {
  const entry = entryOf("a", { sizeBytes: 10, modifiedMs: listedMs });
  return { kind, entry, target: { path: "a" as SafePath, sizeBytes: 10, modifiedMs: listedMs, version: "v" } };
}

function file(sizeBytes: number, modifiedMs: number): ExistingFile {
  return { kind: "file", sizeBytes, modifiedMs };
}

const copies = undefined;
const same = file(10, listedMs);
const newer = file(10, listedMs + 1);
const older = file(10, listedMs - 1);

test.each([
  ["always", true, undefined, copies],
  ["always", true, same, { skip: "unchanged" }],
  ["always", true, file(10, 1_700_000_000_000), { skip: "unchanged" }], // whole seconds only
  ["always", true, file(10, 1_699_999_999_000), copies],
  ["always", true, file(11, listedMs), copies],
  ["always", true, newer, copies],
  ["always", false, same, copies],
  ["never", true, undefined, copies],
  ["never", true, older, { skip: "exists" }],
  ["never", false, same, { skip: "exists" }],
  ["older", true, older, copies],
  ["older", true, newer, { skip: "not older" }],
  ["older", true, file(11, listedMs), { skip: "not older" }],
  ["older", true, undefined, copies],
] as const)("with overwrite %s and mtime %s, %o leads to %o", (overwrite, mtime, existing, decision) => {
  expect(createDecision({ overwrite, mtime })(task("file"), existing)).toEqual(decision);
});

test("a directory that exists is left alone", () => {
  const decide = createDecision({ overwrite: "always", mtime: true });
  expect(decide(task("directory"), { kind: "directory", sizeBytes: 0, modifiedMs: 0 })).toEqual({
    skip: "directory exists",
  });
  expect(decide(task("directory"), undefined)).toBeUndefined();
});

test.each([
  ["file", { kind: "directory", sizeBytes: 0, modifiedMs: 0 }],
  ["file", { kind: "other", sizeBytes: 10, modifiedMs: listedMs }],
  ["directory", same],
] as const)("a %s whose place is taken by %o fails, whatever may be overwritten", (kind, existing) => {
  for (const overwrite of ["always", "never", "older"] as const) {
    const decision = createDecision({ overwrite, mtime: true })(task(kind), existing);
    expect(decision).toMatchObject({ fail: { kind: "occupied" } });
  }
});

const sinceMs = 1_800_000_000_000;
const ours = { ...same, changedMs: sinceMs };

test.each([
  ["nothing there", undefined, copies],
  ["finished by an earlier attempt", ours, { skip: "in place" }],
  ["the same, but older than the work", { ...same, changedMs: sinceMs - 1 }, { fail: { kind: "occupied" } }],
  ["the same, of an unknown age", same, { fail: { kind: "occupied" } }],
  ["of another time", { ...newer, changedMs: sinceMs }, { fail: { kind: "occupied" } }],
  ["of another size", { ...file(11, listedMs), changedMs: sinceMs }, { fail: { kind: "occupied" } }],
  ["a directory", { ...ours, kind: "directory" }, { fail: { kind: "occupied" } }],
] as const)("around foreign files, with a file that is %s, the decision is %o", (_, existing, decision) => {
  const decided = createFillDecision({ mtime: true, sinceMs })(task("file"), existing);
  if (decision) expect(decided).toMatchObject(decision);
  else expect(decided).toBeUndefined();
});

test("around foreign files a first attempt, or one without times, takes nothing for its own", () => {
  for (const options of [
    { mtime: true, sinceMs: undefined },
    { mtime: false, sinceMs },
  ]) {
    expect(createFillDecision(options)(task("file"), ours)).toMatchObject({ fail: { kind: "occupied" } });
  }
  const directory = { kind: "directory", sizeBytes: 0, modifiedMs: 0 } as const;
  const decide = createFillDecision({ mtime: true, sinceMs: undefined });
  expect(decide(task("directory"), directory)).toEqual({ skip: "directory exists" });
});
