/** `npm run bench -- [options]`: measures this program and its peers at the same work. */
import { rmSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chart } from "./output/chart.ts";
import { machineFacts } from "./output/machine.ts";
import { document, scenarioTable } from "./output/table.ts";
import { choosePeers, installedPeers, peerNames } from "./peers/index.ts";
import type { ScenarioResult } from "./result.ts";
import { scenarios } from "./scenarios/index.ts";
import type { Bench } from "./scenarios/scenario.ts";

const usage = `npm run bench -- [options]
  --scenario NAME   one of ${Object.keys(scenarios).join(", ")};
                    repeatable (default: all)
  --rounds N        runs of each contender (default: 5)
  --peers           every peer that is installed, not only the ali-oss program; see bench/peers/install
  --peer NAME       only this one, repeatable: ${peerNames.join(", ")}
  --quick           small sizes and 2 rounds: whether it works, not how fast
  --target DIR      folder on the disk to measure (default: one for temporary files)
  --out DIR         for results.json, results.md and a chart of each scenario (default: bench/results)
`;

const { values } = parseArgs({
  options: {
    scenario: { type: "string", multiple: true, default: Object.keys(scenarios) },
    rounds: { type: "string" },
    peers: { type: "boolean", default: false },
    peer: { type: "string", multiple: true },
    quick: { type: "boolean", default: false },
    target: { type: "string" },
    out: { type: "string", default: fileURLToPath(new URL("results", import.meta.url)) },
    help: { type: "boolean", default: false },
  },
  allowPositionals: false,
});

async function main(): Promise<void> {
  const unknown = values.scenario.filter((name) => scenarios[name] === undefined);
  const rounds = Number(values.rounds ?? (values.quick ? 2 : 5));
  if (values.help || unknown.length > 0 || !Number.isSafeInteger(rounds) || rounds < 1) {
    console.error(unknown.length > 0 ? `unknown: ${unknown.join(", ")}\n${usage}` : usage);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const peers = choosePeers(values.peer ?? (values.peers ? installedPeers() : ["ali-oss"]));
  const workPath = await mkdtemp(join(values.target ?? tmpdir(), "oss-populator-bench-"));
  const out = resolve(values.out);
  const bench: Bench = { peers, rounds, quick: values.quick, workPath };
  const interrupted = (): void => {
    rmSync(workPath, { recursive: true, force: true });
    process.exit(130);
  };
  process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
  try {
    await mkdir(out, { recursive: true });
    await measureAll(bench, out);
  } finally {
    await rm(workPath, { recursive: true, force: true });
  }
}

/** What is there is written after each scenario, so that an interrupted run leaves its results. */
async function measureAll(bench: Bench, out: string): Promise<void> {
  const facts = { ...machineFacts(bench.workPath), rounds: bench.rounds };
  const results: ScenarioResult[] = [];
  for (const name of values.scenario) {
    console.error(name);
    const result = await scenarios[name]?.(bench);
    if (result === undefined) continue;
    results.push(result);
    console.log(scenarioTable(result));
    const peers = bench.peers.map(({ name, verifies, settings }) => ({ name, verifies, settings }));
    await writeFile(join(out, `${name}.svg`), chart(result));
    await writeFile(join(out, "results.md"), document(results, facts, bench.peers));
    await writeFile(join(out, "results.json"), `${JSON.stringify({ facts, peers, results }, undefined, 2)}\n`);
    if (result.notes.some((note) => note.includes(" failed: "))) process.exitCode = 1;
  }
}

await main();
