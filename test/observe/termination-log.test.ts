import { execFileSync } from "node:child_process";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { terminationLine, type Verdict, writeTerminationLog } from "../../src/observe/termination-log.ts";
import { reportWith, temporaryFolder } from "./support.ts";

const failed = reportWith({
  outcome: "failed",
  exitCode: 4,
  reason: "2 of 3 objects could not be copied.",
  objects: { listed: 3, copied: 1, skipped: 0, failed: 2, resumed: 0 },
  failures: [
    { key: "a", kind: "rejected", message: "archived", requestId: "R1" },
    { key: "b", kind: "missing", message: "gone", requestId: undefined },
  ],
  failuresOmitted: 0,
});

test("an ordinary verdict is told in full", () => {
  expect(JSON.parse(terminationLine(failed))).toEqual({
    outcome: "failed",
    exitCode: 4,
    reason: "2 of 3 objects could not be copied.",
    durationSeconds: 60,
    objects: failed.objects,
    bytes: failed.bytes,
    failures: [
      { key: "a", kind: "rejected", message: "archived", requestId: "R1" },
      { key: "b", kind: "missing", message: "gone" },
    ],
    failuresOmitted: 0,
  });
});

test("a run that did not begin has a verdict too", () => {
  const line = terminationLine({ outcome: "failed", exitCode: 2, reason: "--throughput must be above 0" });
  expect(JSON.parse(line)).toMatchObject({ exitCode: 2, reason: "--throughput must be above 0", failures: [] });
});

test("whatever the texts, it is one line of valid JSON and UTF-8 under 4,096 bytes that accounts for every failure", () => {
  const text = fc.string({ unit: "binary", maxLength: 1500 });
  const failure = fc.record({ key: text, kind: text, message: text, requestId: fc.option(text, { nil: undefined }) });
  const verdict = fc.record({
    outcome: fc.constantFrom("complete" as const, "failed" as const, "interrupted" as const),
    exitCode: fc.nat(255),
    reason: fc.oneof(
      text,
      fc.constantFrom("\u0000", "\u009b", "好", "😀", '"', "\ud800").map((c) => c.repeat(5000)),
    ),
    durationSeconds: fc.double({ noNaN: true }),
    failures: fc.array(failure, { maxLength: 12 }),
    failuresOmitted: fc.nat(),
  });
  fc.assert(
    fc.property(verdict, (value: Verdict) => {
      const line = terminationLine(value);
      expect(Buffer.byteLength(line)).toBeLessThan(4096);
      expect(line.indexOf("\n")).toBe(line.length - 1);
      expect(line.isWellFormed()).toBe(true);
      const record = JSON.parse(line);
      expect(record.exitCode).toBe(value.exitCode);
      expect(record.failures.length + record.failuresOmitted).toBe(
        (value.failures?.length ?? 0) + (value.failuresOmitted ?? 0),
      );
    }),
  );
});

test("a long text ends with an ellipsis after a whole character", () => {
  const { reason } = JSON.parse(terminationLine({ ...failed, reason: "😀".repeat(2000) }));
  expect(reason).toMatch(/^(?:😀)+…$/u);
});

test("a secret is removed before a text is shortened, so that no half of it stays", () => {
  const secret = "0123456789abcdef".repeat(4);
  const redact = (text: string) => text.replaceAll(secret, "[redacted]");
  for (let lead = 900; lead < 1000; lead += 7) {
    const line = terminationLine({ ...failed, reason: `${"x".repeat(lead)}${secret}` }, redact);
    expect(line).not.toContain("0123");
  }
});

test("the file is written in place, since it is a mount", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "termination-log");
  await writeFile(path, "old".repeat(5000));
  const before = await stat(path);
  expect(await writeTerminationLog(failed, path, { create: false })).toBeUndefined();
  expect((await stat(path)).ino).toBe(before.ino);
  expect(await readFile(path, "utf8")).toBe(terminationLine(failed));
});

test("a named file is created, an absent default passed over", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "log");
  expect(await writeTerminationLog(failed, path, { create: false })).toBeUndefined();
  await expect(stat(path)).rejects.toThrow("ENOENT");
  expect(await writeTerminationLog(failed, path, { create: true })).toBeUndefined();
  expect((await stat(path)).isFile()).toBe(true);
});

test("an unwritable file is a warning", async () => {
  await using folder = await temporaryFolder();
  const fifo = join(folder.path, "fifo");
  execFileSync("mkfifo", [fifo]);
  expect(await writeTerminationLog(failed, fifo, { create: false })).toMatch(/^cannot write .*: ENXIO/);
  const warning = await writeTerminationLog(failed, folder.path, { create: true });
  expect(warning).toMatch(/^cannot write the termination log .*: EISDIR/);
});
