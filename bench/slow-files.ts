import { spawnSync } from "node:child_process";
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "./measure.ts";
import { besideThis } from "./peers/peer.ts";

/** Compiles the library that slows file calls down into `folder`; returns its path. */
export function compileSlowFiles(folder: string): string {
  const library = join(folder, "slow-files.so");
  const source = besideThis("../drivers/slow-files.c");
  const { error, status, stderr } = spawnSync("cc", ["-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], {
    encoding: "utf8",
  });
  if (error) throw new Error(`there is no C compiler (bench/peers/install gets one): ${error.message}`);
  if (status !== 0) throw new Error(`${source} does not compile here: ${stderr}`);
  return library;
}

/** The same program with `callMs` added to each of its calls on regular files below `target`. */
export async function slowed(command: Command, library: string, target: string, callMs: number): Promise<Command> {
  const env = {
    ...command.env,
    LD_PRELOAD: library,
    SLOW_FILES_BELOW: await realpath(target),
    SLOW_FILES_US: String(callMs * 1000),
  };
  return { ...command, env };
}
