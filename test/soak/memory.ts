import { readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import type { CliRun } from "../e2e/support/cli.ts";
import { mountTmpfs, notMounted } from "../e2e/support/mounts.ts";
import { bucketName, credentials, openScene, type RunOptions } from "../e2e/support/scene.ts";
import { EqualObjects } from "./equal-objects.ts";
import { preloaded } from "./preloaded.ts";

const prefix = "data/";
const mib = 2 ** 20;
/** What the program may take, however many keys there are. */
const mostBytes = 200 * mib;
/** From here on it may grow no more than what garbage that waits for its collection makes of it. */
const flatFrom = 1_000_000;
const flatBytes = 24 * mib;
const sampleMs = 250;
const patienceMs = 4 * 3_600_000;

export interface ManyObjects {
  readonly objects: number;
  readonly sizeBytes: number;
  /** `list`: a dry run. `fetch`: all objects are fetched, and their files dropped. `keep`: the files stay. */
  readonly what: "list" | "fetch" | "keep";
  /** All in one unless given. */
  readonly perDirectory?: number;
}

export interface MemoryOutcome {
  /** Largest resident set so far when a million objects were through, and at the end. */
  readonly millionBytes: number;
  readonly peakBytes: number;
  readonly seconds: number;
  readonly wrong: readonly string[];
}

/** How much memory a populate takes at most, as the kernel counts it; why not, where no volume without limits can be mounted. */
export async function measureMemory({ what, ...set }: ManyObjects): Promise<MemoryOutcome | string> {
  await using scene = await openScene();
  await using volume = await mountTmpfs(scene.scratch.path, "size=1t,nr_inodes=0");
  if (volume === undefined) return notMounted;
  await using server = await EqualObjects.start({ ...set, bucket: bucketName, prefix });
  const args = what === "list" ? ["--dry-run"] : [];
  const around = await surroundings(scene.scratch.path, what);
  await using run = scene.start("populate", args, {
    ...{ target: volume.path, endpoint: server.url, patienceMs },
    ...around,
  });
  let millionBytes = 0;
  const peakBytes = await watchMemory(run, (bytes) => {
    if ((what === "list" ? server.listed : server.gets) < flatFrom) millionBytes = bytes;
  });
  const { exitCode, report, elapsedMs } = await run.result;
  const wrong: string[] = [];
  if (exitCode !== 0) wrong.push(`it ended with ${exitCode}: ${report?.reason}`);
  const { listed, copied } = report?.objects ?? {};
  if (listed !== set.objects || (what !== "list" && copied !== set.objects))
    wrong.push(`${listed} objects were listed and ${copied} copied`);
  if (peakBytes > mostBytes) wrong.push(`it took ${peakBytes} bytes of memory, more than ${mostBytes}`);
  if (peakBytes > millionBytes + flatBytes)
    wrong.push(`it took ${millionBytes} bytes of memory at the first million and ${peakBytes} later`);
  return { millionBytes, peakBytes, seconds: Math.round(elapsedMs / 1000), wrong };
}

/** Looks at a run's memory until it ends; the most that it had resident. */
export async function watchMemory(run: CliRun, onLook: (peakBytes: number) => void = () => {}): Promise<number> {
  let ended = false;
  const end = run.result.finally(() => {
    ended = true;
  });
  let peakBytes = 0;
  while (!ended) {
    peakBytes = Math.max(peakBytes, await highWater(run.pid));
    onLook(peakBytes);
    await Promise.race([end, setTimeout(sampleMs)]);
  }
  return peakBytes;
}

async function surroundings(scratch: string, what: ManyObjects["what"]): Promise<RunOptions> {
  return what === "fetch" ? { env: { ...credentials, ...(await preloaded("discard-files", scratch)) } } : {};
}

/** Of the process's resident set; 0 once it is gone. */
async function highWater(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
}
