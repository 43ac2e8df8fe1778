import { expect } from "vitest";
import type { CliResult } from "./cli.ts";

/**
 * Expects a failure with this exit code whose reason is one readable sentence with these words, the same in report,
 * log and termination log, and no stack trace anywhere.
 */
export function expectRefusal(result: CliResult, exitCode: number, ...words: readonly string[]): void {
  expect([result.exitCode, result.stderr]).toEqual([exitCode, expect.any(String)]);
  const last: unknown = JSON.parse(result.terminationLog ?? "{}");
  expect(last).toMatchObject({ outcome: "failed", exitCode, reason: expect.any(String) });
  const { reason } = last as { reason: string }; // just checked
  for (const word of words) expect(reason).toContain(word);
  expect(reason).not.toMatch(/\n|undefined|\[object|^defect/);
  expect(reason.length).toBeLessThan(1000);
  expect(result.stderr).not.toMatch(/\\n {4}at |\n {4}at /);
  if (exitCode !== 2) expect(result.report).toMatchObject({ exitCode, outcome: "failed" });
}
