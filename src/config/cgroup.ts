/** What the container may use. */
export interface CgroupLimits {
  /** CPUs' worth of time, perhaps a fraction; never more than the host's. */
  readonly cpus: number;
  /** Undefined is unlimited. */
  readonly memoryBytes: number | undefined;
}

/** Content of a file, or undefined when it cannot be read. */
export type ReadFile = (path: string) => string | undefined;

const root = "/sys/fs/cgroup";

/**
 * Least CPU quota and memory limit of our cgroup and those above it, v1 or v2. Inside a container the path that the
 * kernel reports may be the host's, with our own group mounted at the root; levels that are not there are passed over.
 */
export function readCgroup(readFile: ReadFile, hostCpus: number): CgroupLimits {
  const cpus: number[] = [];
  const memory: number[] = [];
  for (const directory of directories(readFile("/proc/self/cgroup") ?? "")) {
    const read = (name: string) => readFile(`${directory}/${name}`)?.trim();
    const [quota, period] = read("cpu.max")?.split(" ") ?? [];
    cpus.push(Number(quota) / Number(period));
    cpus.push(Number(read("cpu.cfs_quota_us")) / Number(read("cpu.cfs_period_us")));
    // Above `memory.high` we would not be killed, but held up until the kernel has reclaimed enough.
    memory.push(Number(read("memory.max")), Number(read("memory.high")), Number(read("memory.limit_in_bytes")));
    // v1 tells here what groups above ours allow, also those that a container cannot see.
    memory.push(Number(/^hierarchical_memory_limit (\d+)$/m.exec(read("memory.stat") ?? "")?.[1]));
  }
  return {
    cpus: Math.min(hostCpus, ...cpus.filter((value) => value > 0 && Number.isFinite(value))),
    // v1 says 9223372036854771712 for "no limit": the largest multiple of a page in 63 bits.
    memoryBytes: least(memory.filter((bytes) => bytes > 0 && bytes < 2 ** 60)),
  };
}

function least(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : Math.min(...values);
}

/** Every directory that can hold a limit of ours, from `/proc/self/cgroup` lines such as `4:cpu,cpuacct:/a/b` or `0::/a`. */
function directories(procSelfCgroup: string): readonly string[] {
  const found = new Set<string>([root]);
  for (const line of procSelfCgroup.split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    const mounts = controllers === "" ? ["", "unified"] : limiting(controllers);
    for (const mount of mounts) {
      for (const level of levels(path)) found.add([root, mount, level].filter((part) => part !== "").join("/"));
    }
  }
  return [...found];
}

function limiting(controllers: string): readonly string[] {
  const names = controllers.split(",");
  return names.includes("cpu") || names.includes("memory") ? [controllers, ...names] : [];
}

/** `/a/b` is `a/b`, `a` and the root; a path outside our namespace (`/../x`) is the root only. */
function levels(path: string): readonly string[] {
  const segments = path.split("/").filter((segment) => segment !== "");
  if (segments.includes("..")) return [""];
  return Array.from({ length: segments.length + 1 }, (_, dropped) =>
    segments.slice(0, segments.length - dropped).join("/"),
  );
}
