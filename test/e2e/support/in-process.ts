import { setTimeout } from "node:timers/promises";
import { readLines, readText } from "../../../src/cli/input.ts";
import { parseConfig } from "../../../src/config/parse.ts";
import type { RunResult } from "../../../src/run.ts";
import type { Clock, Logger } from "../../../src/types.ts";
import type { Emulator } from "../../emulator/server.ts";
import { bucketName, credentials } from "./scene.ts";

/** The built one: data threads start without compiling anything. */
const built = new URL("../../../dist/index.js", import.meta.url).href;
const load = async () => (await import(built)) as typeof import("../../../src/index.ts");

/** What a signal is aborted with, so that the run takes it for a SIGTERM. */
export async function sigterm(): Promise<Error> {
  const { Interruption } = await load();
  return new Interruption("SIGTERM");
}

/** A run in this very process: everything but the command line, and a good deal faster to start. */
export interface HereOptions {
  readonly emulator: Emulator;
  readonly verb: "populate" | "copy";
  readonly target: string;
  readonly args?: readonly string[];
  readonly signal?: AbortSignal;
  /** How much faster waits are over: a test need not sit through them. */
  readonly speed?: number;
}

export async function runHere(options: HereOptions): Promise<RunResult> {
  const { emulator, verb, target, args = [], signal = new AbortController().signal, speed = 1 } = options;
  const source =
    verb === "copy"
      ? [`oss://${bucketName}/data/`, target]
      : ["--bucket", bucketName, "--path", "data/", "--target", target];
  const input = {
    argv: [verb, ...source, "--endpoint", emulator.url, "--region", "cn-hangzhou", ...args],
    env: {},
    readText,
    cgroup: { cpus: 2, memoryBytes: undefined },
    workingDirectory: "/",
    isTerminal: false,
    isProcess1: false,
  };
  const parsed = await parseConfig(input);
  if (parsed.kind !== "run") throw new Error("the arguments start no run");
  const { run } = await load();
  return run(parsed.config, {
    version: "0.0.0",
    env: credentials,
    signal,
    logger: silent,
    clock: fasterClock(speed),
    isProcess1: false,
    readText,
    readLines: (from) => readLines(from, signal),
    resources: () => ({ cpuSeconds: 0, peakRssBytes: 0 }),
    onStart: async () => {},
  });
}

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Time that runs `speed` times as fast. */
function fasterClock(speed: number): Clock {
  return {
    nowMs: () => performance.now() * speed,
    sleep: async (ms, signal) => {
      await setTimeout(ms / speed, undefined, { signal }).catch(() => {
        throw signal.reason;
      });
    },
    random: Math.random,
  };
}
