import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";

/** How one program runs. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** What one run took, children included; `cpuSeconds` is user and system time to 10 ms. */
export interface Measurement {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  /** Largest process of the tree. */
  readonly peakRssBytes: number;
  readonly output: string;
}

const runTimeoutMs = 600_000;
let runs = 0;

/**
 * Runs a program under GNU time, then `sync -f` of `syncPath`, all inside the measured time: whatever a program leaves in
 * the page cache is its own bill. Throws with the program's last words unless it exits with 0.
 */
export async function measure(command: Command, workPath: string, syncPath?: string): Promise<Measurement> {
  const figures = join(workPath, `time-${runs++}`);
  const sync = syncPath === undefined ? "" : `&& sync -f "$SYNC_PATH"`;
  const line = ["-o", figures, "-f", "%e %U %S %M", "sh", "-c", `"$@" ${sync}`, "sh", command.program, ...command.args];
  const started = process.hrtime.bigint();
  const child = spawn("/usr/bin/time", line, {
    cwd: workPath,
    env: { PATH: process.env.PATH, HOME: workPath, SYNC_PATH: syncPath, ...command.env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: runTimeoutMs,
  });
  let output = "";
  const collect = (text: string): void => {
    output = (output + text).slice(-4096);
  };
  child.stdout.setEncoding("utf8").on("data", collect);
  child.stderr.setEncoding("utf8").on("data", collect);
  const [code] = await once(child, "close");
  const wallSeconds = Number(process.hrtime.bigint() - started) / 1e9;
  if (code !== 0) throw new Error(`${command.program} exited with ${code}: ${output}`);
  const [, user = "0", system = "0", rss = "0"] = (await readFile(figures, "utf8")).trim().split(" ");
  await rm(figures, { force: true });
  return { wallSeconds, cpuSeconds: Number(user) + Number(system), peakRssBytes: Number(rss) * 1024, output };
}
