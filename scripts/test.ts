/** Every check of the project, one after the other; closes with one line `N passed, N failed`. */
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const results = join(tmpdir(), `oss-populator-tests-${process.pid}.json`);
let passed = 0;
let failed = 0;

function step(name: string, program: string, args: readonly string[]): boolean {
  const { status } = spawnSync(program, args, { stdio: "inherit" });
  if (status !== 0) console.log(`FAILED: ${name}`);
  return status === 0;
}

function check(name: string, program: string, args: readonly string[]): void {
  if (step(name, program, args)) passed++;
  else failed++;
}

check("format and lint", "biome", ["ci", "."]);
check("types", "tsc", ["-p", "tsconfig.json"]);
check("build", "npm", ["run", "--silent", "build"]);
const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${results}`];
const green = step("tests", "vitest", ["run", ...reporters, ...process.argv.slice(2)]);
try {
  const summary = JSON.parse(readFileSync(results, "utf8")) as { numPassedTests: number; numFailedTests: number };
  passed += summary.numPassedTests;
  failed += summary.numFailedTests;
  if (!green && summary.numFailedTests === 0) failed++; // a file that could not be loaded, or an error outside of a test
} catch {
  failed++;
}
rmSync(results, { force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
