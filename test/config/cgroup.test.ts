import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { readFileOrUndefined } from "../../src/cli/input.ts";
import { readCgroup } from "../../src/config/cgroup.ts";

const unlimitedV1 = "9223372036854771712\n";
const gib = 2 ** 30;

function limits(files: Readonly<Record<string, string>>, hostCpus = 16) {
  return readCgroup((path) => files[path], hostCpus);
}

/** Files of machines and containers, as a process there sees them. */
const machines = fileURLToPath(new URL("./fixtures/cgroup/", import.meta.url));
const mib = 2 ** 20;
const seen: Readonly<Record<string, ReturnType<typeof readCgroup>>> = {
  "v2-container": { cpus: 0.5, memoryBytes: 512 * mib },
  "v2-best-effort": { cpus: 8, memoryBytes: undefined },
  "v2-memory-qos": { cpus: 2, memoryBytes: 966_365_184 },
  // The root group of the kernel has no files for limits.
  "v2-node": { cpus: 1.5, memoryBytes: gib },
  "v2-node-path-in-container": { cpus: 1, memoryBytes: 256 * mib },
  "v2-nested-group": { cpus: 1, memoryBytes: 256 * mib },
  "v2-outside-namespace": { cpus: 1, memoryBytes: 256 * mib },
  "hybrid-node": { cpus: 2.5, memoryBytes: 384 * mib },
  "v1-container": { cpus: 0.5, memoryBytes: 384 * mib },
  "v1-best-effort": { cpus: 8, memoryBytes: undefined },
};

it.each(Object.entries(seen))("the limits of %s are found in its files", (name, wanted) => {
  expect(readCgroup((path) => readFileOrUndefined(`${machines}${name}${path}`), 8)).toEqual(wanted);
});

it("every machine whose files are here is among them", () => {
  expect(readdirSync(machines).toSorted()).toEqual(Object.keys(seen).toSorted());
});

describe("cgroup v2", () => {
  it("inside a container has its limits at the root", () => {
    const files = {
      "/proc/self/cgroup": "0::/\n",
      "/sys/fs/cgroup/cpu.max": "150000 100000\n",
      "/sys/fs/cgroup/memory.max": `${gib}\n`,
    };
    expect(limits(files)).toEqual({ cpus: 1.5, memoryBytes: gib });
  });

  it("takes the least limit of all levels", () => {
    const files = {
      "/proc/self/cgroup": "0::/kubepods/pod1/app\n",
      "/sys/fs/cgroup/kubepods/cpu.max": "800000 100000",
      "/sys/fs/cgroup/kubepods/memory.max": "max",
      "/sys/fs/cgroup/kubepods/pod1/cpu.max": "200000 100000",
      "/sys/fs/cgroup/kubepods/pod1/memory.max": `${2 * gib}`,
      "/sys/fs/cgroup/kubepods/pod1/app/cpu.max": "max 100000",
      "/sys/fs/cgroup/kubepods/pod1/app/memory.max": `${4 * gib}`,
    };
    expect(limits(files)).toEqual({ cpus: 2, memoryBytes: 2 * gib });
  });

  it("without limits leaves the host's CPUs", () => {
    const files = {
      "/proc/self/cgroup": "0::/\n",
      "/sys/fs/cgroup/cpu.max": "max 100000\n",
      "/sys/fs/cgroup/memory.max": "max\n",
    };
    expect(limits(files, 4)).toEqual({ cpus: 4, memoryBytes: undefined });
  });

  it("is held up at memory.high already", () => {
    const files = {
      "/proc/self/cgroup": "0::/\n",
      "/sys/fs/cgroup/memory.high": `${gib / 2}\n`,
      "/sys/fs/cgroup/memory.max": `${gib}\n`,
    };
    expect(limits(files).memoryBytes).toBe(gib / 2);
    expect(limits({ ...files, "/sys/fs/cgroup/memory.high": "max\n" }).memoryBytes).toBe(gib);
  });

  it.each([
    ["50000 100000", 0.5],
    ["10000 1000000", 0.01],
    ["333333 100000", 3.33333],
    ["0 100000", 16],
    ["-1 100000", 16],
  ])("with cpu.max %j has %s CPUs of 16", (quota, cpus) => {
    expect(limits({ "/sys/fs/cgroup/cpu.max": quota }).cpus).toBe(cpus);
  });

  it("outside our namespace is read at the root only", () => {
    const files = {
      "/proc/self/cgroup": "0::/../../other\n",
      "/sys/fs/cgroup/other/memory.max": "1",
      "/sys/fs/cgroup/memory.max": `${gib}`,
    };
    expect(limits(files).memoryBytes).toBe(gib);
  });

  it("is found beside v1 in the unified mount", () => {
    const files = {
      "/proc/self/cgroup": "1:name=systemd:/\n0::/a\n",
      "/sys/fs/cgroup/unified/a/memory.max": `${gib}`,
    };
    expect(limits(files).memoryBytes).toBe(gib);
  });
});

describe("cgroup v1", () => {
  it("has one tree for each controller, mounted under joint or single names", () => {
    const files = {
      "/proc/self/cgroup": "4:memory:/a\n3:cpu,cpuacct:/b\n2:pids:/c\n",
      "/sys/fs/cgroup/memory/a/memory.limit_in_bytes": `${gib}\n`,
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": unlimitedV1,
      "/sys/fs/cgroup/cpu,cpuacct/b/cpu.cfs_quota_us": "50000\n",
      "/sys/fs/cgroup/cpu,cpuacct/b/cpu.cfs_period_us": "100000\n",
      "/sys/fs/cgroup/pids/c/memory.limit_in_bytes": "1",
    };
    expect(limits(files)).toEqual({ cpus: 0.5, memoryBytes: gib });
    const single = {
      "/proc/self/cgroup": "3:cpu,cpuacct:/\n",
      "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000",
      "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    };
    expect(limits(single).cpus).toBe(3);
  });

  it("inside a container names the host's path, but has its own group at the root", () => {
    const files = {
      "/proc/self/cgroup": "4:memory:/docker/0123\n3:cpu:/docker/0123\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": `${gib}`,
      "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000",
      "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    };
    expect(limits(files)).toEqual({ cpus: 1, memoryBytes: gib });
  });

  it("tells the limit of groups that the container cannot see", () => {
    const files = {
      "/proc/self/cgroup": "4:memory:/kubepods/pod1/app\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": unlimitedV1,
      "/sys/fs/cgroup/memory/memory.stat": `cache 1\nhierarchical_memory_limit ${gib}\nhierarchical_memsw_limit 5\n`,
    };
    expect(limits(files).memoryBytes).toBe(gib);
    const unlimited = { ...files, "/sys/fs/cgroup/memory/memory.stat": `hierarchical_memory_limit ${unlimitedV1}` };
    expect(limits(unlimited).memoryBytes).toBeUndefined();
  });

  it("says unlimited as -1 and as the largest multiple of a page", () => {
    const files = {
      "/proc/self/cgroup": "4:memory:/\n3:cpu:/\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": unlimitedV1,
      "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
      "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    };
    expect(limits(files, 8)).toEqual({ cpus: 8, memoryBytes: undefined });
  });
});

it("a quota above the host's CPUs, broken files and none at all leave the host's CPUs", () => {
  const above = { "/sys/fs/cgroup/cpu.max": "9900000 100000" };
  const broken = {
    "/proc/self/cgroup": "rubbish\n0::",
    "/sys/fs/cgroup/cpu.max": "",
    "/sys/fs/cgroup/memory.max": "x",
  };
  for (const files of [above, broken, {}]) expect(limits(files, 4)).toEqual({ cpus: 4, memoryBytes: undefined });
});
