import { execFile } from "node:child_process";
import { mkdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { CgroupLimits } from "../../src/config/cgroup.ts";

/** Limits as the kernel takes them: a CPU and a half, and 256 MiB. */
const cpus = 1.5;
const memoryBytes = 256 * 2 ** 20;

/** Groups of the test's own below ours, one for each hierarchy, with a group without limits inside; removed on disposal. */
interface Groups extends AsyncDisposable {
  /** The innermost directories. */
  readonly inner: readonly string[];
}

/** Undefined where we may not make groups or set their limits. */
async function makeGroups(limited: boolean): Promise<Groups | undefined> {
  const made: string[] = [];
  const dispose = async (): Promise<void> => {
    for (const directory of made.toReversed()) await rmdir(directory).catch(() => {});
  };
  try {
    const inner: string[] = [];
    for (const { mount, path, limits } of hierarchies(await readFile("/proc/self/cgroup", "utf8"))) {
      const group = `${mount}${path === "/" ? "" : path}/oss-populator-test-${process.pid}-${limited}`;
      for (const directory of [group, `${group}/inner`]) {
        await mkdir(directory);
        made.push(directory);
      }
      for (const [name, value] of Object.entries(limited ? limits : {})) await writeFile(`${group}/${name}`, value);
      inner.push(`${group}/inner`);
    }
    return { inner, [Symbol.asyncDispose]: dispose };
  } catch {
    await dispose();
    return undefined;
  }
}

/** Where the limits of memory and CPU are set: two trees of v1, or the one of v2. */
function hierarchies(procSelfCgroup: string) {
  const pathOf = (controller: string) =>
    procSelfCgroup
      .split("\n")
      .map((line) => line.split(":"))
      .find(([, controllers]) => controllers?.split(",").includes(controller))?.[2];
  const memory = pathOf("memory");
  const cpu = pathOf("cpu");
  if (memory === undefined || cpu === undefined) {
    const limits = { "memory.max": String(memoryBytes), "cpu.max": `${cpus * 100_000} 100000` };
    return [{ mount: "/sys/fs/cgroup", path: pathOf("") ?? "/", limits }];
  }
  const cpuLimits = { "cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": String(cpus * 100_000) };
  return [
    { mount: "/sys/fs/cgroup/memory", path: memory, limits: { "memory.limit_in_bytes": String(memoryBytes) } },
    { mount: "/sys/fs/cgroup/cpu", path: cpu, limits: cpuLimits },
  ];
}

/** What a process in these groups reads of its limits. */
async function limitsIn({ inner }: Groups): Promise<CgroupLimits> {
  const source = `
    import { readFileSync } from "node:fs";
    import { readCgroup } from ${JSON.stringify(new URL("../../src/config/cgroup.ts", import.meta.url))};
    const read = (path) => { try { return readFileSync(path, "utf8"); } catch { return undefined; } };
    console.log(JSON.stringify(readCgroup(read, 4)));`;
  const join = inner.map((directory) => `echo $$ > ${directory}/cgroup.procs`).join(" && ");
  const script = `${join} && exec ${process.execPath} --input-type=module -e "$0"`;
  const { stdout } = await promisify(execFile)("sh", ["-c", script, source]);
  return JSON.parse(stdout) as CgroupLimits; // as just printed
}

test("the limits of a group that holds ours are read from the kernel's own files", async (context) => {
  await using groups = await makeGroups(true);
  if (groups === undefined) return context.skip("needs the right to make cgroups with limits");
  expect(await limitsIn(groups)).toEqual({ cpus, memoryBytes });
});

test("a group without limits has those of the groups around it and no more", async (context) => {
  await using groups = await makeGroups(false);
  if (groups === undefined) return context.skip("needs the right to make cgroups");
  const { cpus: found, memoryBytes: limit } = await limitsIn(groups);
  expect(found).toBeLessThanOrEqual(4);
  expect(limit ?? 2 ** 59).toBeGreaterThan(64 * 2 ** 20);
});
