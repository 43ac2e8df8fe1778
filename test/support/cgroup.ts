import { access, mkdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";

const root = "/sys/fs/cgroup";
const periodMicros = 100_000;

export interface Limits {
  /** CPUs' worth of time. */
  readonly cpus: number;
  readonly memoryBytes: number;
}

/** A control group of the test's own, removed on disposal; whoever is in it must have ended by then. */
export interface ControlGroup extends AsyncDisposable {
  /** Its directory in each hierarchy, by the name of the controller; of version 2 there is one, by the name of "". */
  readonly directories: Readonly<Record<string, string>>;
  /** How often the kernel has killed a process in it for want of memory. */
  oomKills(): Promise<number>;
}

/** A group with these limits, in whichever version the machine has; undefined where none can be made. */
export async function makeControlGroup(name: string, { cpus, memoryBytes }: Limits): Promise<ControlGroup | undefined> {
  const quotaMicros = Math.round(cpus * periodMicros);
  const isV2 = await access(`${root}/cgroup.controllers`).then(
    () => true,
    () => false,
  );
  const [cpu, memory, both] = [`${root}/cpu/${name}`, `${root}/memory/${name}`, `${root}/${name}`];
  try {
    if (isV2) {
      await writeFile(`${root}/cgroup.subtree_control`, "+cpu +memory");
      await group(both, { "cpu.max": `${quotaMicros} ${periodMicros}`, "memory.max": memoryBytes });
      return controlGroup({ "": both }, `${both}/memory.events`);
    }
    await group(cpu, { "cpu.cfs_period_us": periodMicros, "cpu.cfs_quota_us": quotaMicros });
    await group(memory, { "memory.limit_in_bytes": memoryBytes });
    return controlGroup({ cpu, memory }, `${memory}/memory.oom_control`);
  } catch {
    for (const directory of [cpu, memory, both]) await rmdir(directory).catch(() => {});
    return undefined;
  }
}

/** What a skipped test says. */
export const noControlGroup = "needs the right to make control groups with limits of CPU and memory";

async function group(directory: string, settings: Readonly<Record<string, string | number>>): Promise<void> {
  await mkdir(directory);
  for (const [file, value] of Object.entries(settings)) await writeFile(`${directory}/${file}`, String(value));
}

function controlGroup(directories: Readonly<Record<string, string>>, oomFile: string): ControlGroup {
  return {
    directories,
    oomKills: async () => Number(/^oom_kill (\d+)$/m.exec(await readFile(oomFile, "utf8"))?.[1] ?? Number.NaN),
    async [Symbol.asyncDispose]() {
      for (const directory of Object.values(directories)) await remove(directory);
    },
  };
}

/** A process that has just ended still counts for a moment. */
async function remove(directory: string): Promise<void> {
  for (let attempts = 0; attempts < 50; attempts++) {
    try {
      return await rmdir(directory);
    } catch {
      await setTimeout(100);
    }
  }
}
