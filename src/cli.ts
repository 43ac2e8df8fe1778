#!/usr/bin/env node
process.env.UV_THREADPOOL_SIZE ??= "64"; // each file call on a slow disk blocks one; read before the pool starts

import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { readFileOrUndefined, readText } from "./cli/input.ts";
import { Signals } from "./cli/signals.ts";
import { readCgroup } from "./config/cgroup.ts";
import { type ConfigInput, type ParsedConfig, parseConfig, parseFallback } from "./config/parse.ts";
import { exitCodes } from "./engine/exit-code.ts";
import { ConfigError } from "./errors.ts";

/** `engines` of package.json: earlier ones do not know all of the language that is used here. */
const leastNode = 24;

/** One verb of the command line, from the arguments to the exit code. */
async function main(): Promise<number> {
  const { node } = process.versions;
  if (Number.parseInt(node, 10) < leastNode) {
    process.stderr.write(`oss-populator needs Node.js ${leastNode} or later; this is ${node}\n`);
    return exitCodes.configuration;
  }
  const isProcess1 = process.pid === 1;
  const isTerminal = process.stderr.isTTY === true;
  const input: ConfigInput = {
    argv: process.argv.slice(2),
    env: process.env,
    readText,
    cgroup: readCgroup(readFileOrUndefined, availableParallelism()),
    workingDirectory: process.cwd(),
    isTerminal,
    isProcess1,
  };
  // A umask that hides a directory from its owner would lock us out before its mode can be set.
  process.umask(0o022);
  const signals = new Signals(process);
  let parsed: ParsedConfig;
  try {
    parsed = await parseConfig(input);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const { refuse } = await import("./cli/refuse.ts");
    return refuse(error, parseFallback(input), signals);
  }
  if (parsed.kind === "help") return print(parsed.text);
  if (parsed.kind === "version") return print(version());
  const { execute } = await import("./cli/execute.ts");
  const around = { env: process.env, signals, isProcess1, isTerminal, version: version() };
  const exitCode = await execute(parsed.config, around);
  signals.over(exitCode);
  return exitCode;
}

function print(text: string): number {
  // Whoever has read enough closes the pipe; without a listener that would be a stack trace.
  process.stdout.on("error", () => {});
  process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
  return exitCodes.complete;
}

function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  if (typeof manifest === "object" && manifest !== null && "version" in manifest) return String(manifest.version);
  return "unknown";
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`oss-populator: defect: ${error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = exitCodes.defect;
}
