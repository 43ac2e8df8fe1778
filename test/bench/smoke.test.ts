import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { nginxProgram } from "../../bench/server/configuration.ts";

const run = promisify(execFile);
const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const usable = nginxProgram() !== undefined && existsSync("/usr/bin/time") && existsSync(path("dist/cli.js"));

test.skipIf(!usable)("a quick bench compares us with ali-oss and leaves JSON, a table and a chart", async () => {
  const out = await mkdtemp(join(tmpdir(), "bench-smoke-"));
  try {
    await run(process.execPath, [
      path("bench/run.ts"),
      "--quick",
      "--rounds",
      "1",
      "--scenario",
      "small",
      "--out",
      out,
    ]);
    const { results } = JSON.parse(await readFile(join(out, "results.json"), "utf8"));
    const contenders = results[0].samples.map(({ contender }: { contender: string }) => contender);
    expect(contenders).toEqual(["oss-populator", "ali-oss", "server alone", "receive and discard"]);
    for (const { wallSeconds, cpuSeconds } of results[0].samples) {
      expect(Math.min(wallSeconds, cpuSeconds)).toBeGreaterThan(0);
    }
    expect(await readFile(join(out, "results.md"), "utf8")).toMatch(/\| oss-populator \| [\d.]+ \|/);
    expect(await readFile(join(out, "small.svg"), "utf8")).toMatch(/^<svg .*<rect class="bar first".*<\/svg>\n$/s);
  } finally {
    await rm(out, { recursive: true, force: true });
  }
});
