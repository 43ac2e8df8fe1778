import { describe, expect, it } from "vitest";
import { readCgroup } from "../../src/config/cgroup.ts";

const unlimitedV1 = "9223372036854771712\n";
const gib = 2 ** 30;

function limits(files: Readonly<Record<string, string>>, hostCpus = 16) {
  return readCgroup((path) => files[path], hostCpus);
}

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
