/** The worker in a pod: process 1, mounts and control group of its own, a volume of ext4, and arguments only. */
import { cp, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type Mount, mountExt4, notMounted } from "../e2e/support/mounts.ts";
import { bucketName } from "../e2e/support/scene.ts";
import { differencesFrom, pathsIn } from "../e2e/support/tree.ts";
import { countNames, until } from "../e2e/support/waiting.ts";
import { makeControlGroup, noControlGroup } from "../support/cgroup.ts";
import type { ContainerOptions, Ended } from "../support/container.ts";
import { applyFsGroup, mountPath, type Node, obstacle, openNode, prefix, terminationLogFile } from "./pods.ts";

const mib = 2 ** 20;
const ignore = ["lost+found"];
/** Files of control groups, as processes on other machines see them. */
const machines = fileURLToPath(new URL("../config/fixtures/cgroup/", import.meta.url));

async function openFilled(): Promise<Node> {
  const node = await openNode();
  node.emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 100, sizeBytes: { min: 0, max: 9000 } });
  node.emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 1, sizeBytes: 2 * mib + 5 });
  return node;
}

/** A fresh volume with its `lost+found`, as a CSI driver hands it over. */
function freshVolume({ scratch }: Node, sizeBytes = 128 * mib): Promise<Mount | undefined> {
  return mountExt4(scratch.path, sizeBytes, "-m", "0");
}

/** Some of a process's `/proc/…/status`. */
async function statusOf(pid: number): Promise<Readonly<Record<string, string>>> {
  const text = await readFile(`/proc/${pid}/status`, "utf8");
  return Object.fromEntries([...text.matchAll(/^(\w+):\s+(.*)$/gm)].map(([, name, value]) => [name, value]));
}

function expectEnd({ code, stderr }: Ended, wanted: number): void {
  expect([code, stderr]).toEqual([wanted, expect.any(String)]);
}

const hardened = { readOnly: true, capabilities: "none" } as const;
const users: readonly (readonly [string, Partial<ContainerOptions>])[] = [
  ["root with a container's default capabilities", {}],
  ["root without capabilities, read-only", hardened],
  ["another user with an fsGroup, without capabilities, read-only", { ...hardened, uid: 12_345, fsGroup: 2000 }],
];

describe.skipIf(obstacle !== undefined)(`a pod${obstacle === undefined ? "" : ` (skipped: ${obstacle})`}`, () => {
  test.each(users)("fills its volume as %s, within its limits", async (_, user) => {
    await using node = await openFilled();
    await using volume = await freshVolume(node);
    if (volume === undefined) throw new Error(notMounted);
    if (user.fsGroup !== undefined) await applyFsGroup(volume.path, user.fsGroup);
    await using group = await makeControlGroup(`oss-populator-${process.pid}`, { cpus: 0.5, memoryBytes: 256 * mib });
    if (group === undefined) console.warn(`The pod runs without limits: ${noControlGroup}.`);
    node.emulator.addFaults({ kind: "delay", ms: 20, operation: "get" });
    const limits = group === undefined ? {} : { group };

    const { code, stderr, message } = await node.podToEnd({ ...user, ...limits, volume: volume.path });

    expectEnd({ code, stderr, stdout: "" }, 0);
    expect(await differencesFrom(node.bucket, volume.path, { prefix, ignore })).toEqual([]);
    expect(JSON.parse(message)).toMatchObject({ outcome: "complete", exitCode: 0 });
    expect(stderr).not.toContain("configuration");
    if (group === undefined) return;
    // 64 a CPU, but not below 32: half a CPU shows in what is in flight.
    expect(node.emulator.counters.maxConcurrentRequests).toBeLessThanOrEqual(32);
    expect(await group.oomKills()).toBe(0);
  });

  test("is what the tests say it is: process 1, a volume of its own, no rights", async () => {
    await using node = await openFilled();
    node.emulator.addFaults({ kind: "delay", ms: 60_000, operation: "list" });
    await applyFsGroup(node.target, 2000, []);
    await using pod = await node.pod({ ...hardened, uid: 12_345, fsGroup: 2000 });
    await until("a listing", () => node.emulator.counters.list > 0);

    const pid = await pod.pid();
    const status = await statusOf(pid);
    const mounts = await readFile(`/proc/${pid}/mounts`, "utf8");

    expect(status.NSpid?.split("\t").at(-1)).toBe("1");
    expect(status).toMatchObject({ Uid: expect.stringMatching(/^12345/), Groups: "2000 ", NoNewPrivs: "1" });
    for (const set of ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"]) expect(status[set], set).toMatch(/^0+$/);
    expect(mounts).toMatch(/^overlay \/ overlay ro,/m);
    expect(mounts).toMatch(new RegExp(`^\\S+ ${mountPath} \\S+ rw,`, "m"));
    expect((await readFile(`/proc/${pid}/environ`, "utf8")).split("\0")).not.toContainEqual(
      expect.stringMatching(/^(ALIBABA|OSS_POPULATOR_(?!SERVICE|PORT))/),
    );
  });

  test("as another user without an fsGroup says that the volume belongs to root", async () => {
    await using node = await openFilled();
    await using volume = await freshVolume(node);
    if (volume === undefined) throw new Error(notMounted);
    const end = await node.podToEnd({ uid: 12_345, volume: volume.path, more: ["--fail-hold=0"] });
    expectEnd(end, 5);
    expect(JSON.parse(end.message).reason).toMatch(/\/mnt\/target.*uid 0.*uid 12345.*fsGroup/);
    expect(await pathsIn(volume.path)).toEqual(["lost+found/"]);
  });

  test("without any limit, as a BestEffort pod is, fills its volume", async () => {
    await using node = await openFilled();
    expectEnd(await node.podToEnd(), 0);
    expect(await differencesFrom(node.bucket, node.target, { prefix })).toEqual([]);
  });

  test.each([
    ["v2-container", (most: number) => most <= 32],
    ["v2-best-effort", (most: number) => most > 32],
  ] as const)("finds its limits where cgroup v2 has them: %s", async (machine, isRight) => {
    await using node = await openFilled();
    const files = `${node.scratch.path}/cgroup`;
    await cp(`${machines}${machine}/sys/fs/cgroup`, files, { recursive: true });
    // Its processes are noted there, and nothing comes of it.
    const group = { directories: { "": files }, oomKills: async () => 0, async [Symbol.asyncDispose]() {} };
    node.emulator.addFaults({ kind: "delay", ms: 400, operation: "get" });
    expectEnd(await node.podToEnd({ group }), 0);
    expect(node.emulator.counters.maxConcurrentRequests).toSatisfy(isRight);
  });

  test("copies far more than its memory, and nobody is killed for it", async (context) => {
    await using node = await openNode();
    await using group = await makeControlGroup(`oss-populator-${process.pid}`, { cpus: 1, memoryBytes: 192 * mib });
    if (group === undefined) return context.skip(noControlGroup);
    await using volume = await freshVolume(node, 640 * mib);
    if (volume === undefined) throw new Error(notMounted);
    node.emulator.generate({ bucket: bucketName, prefix, count: 2, sizeBytes: 256 * mib + 1 });

    expectEnd(await node.podToEnd({ group, volume: volume.path }), 0);

    expect(await differencesFrom(node.bucket, volume.path, { prefix, ignore })).toEqual([]);
    expect(await group.oomKills()).toBe(0);
  });
});

describe.skipIf(obstacle !== undefined)("a pod that is ended", () => {
  async function startedHalfWay(node: Node, options: Parameters<Node["pod"]>[0] = {}) {
    node.emulator.addFaults({ kind: "drip", bytesPerSecond: 500, operation: "get", every: 5 });
    const pod = await node.pod(options);
    await until("files", async () => (await countNames(`${options.volume ?? node.target}/small`)) > 20);
    return pod;
  }

  test.each(users)("by SIGTERM exits with 143 well within its grace, and the next goes on: %s", async (_, user) => {
    await using node = await openFilled();
    await using volume = await freshVolume(node);
    if (volume === undefined) throw new Error(notMounted);
    if (user.fsGroup !== undefined) await applyFsGroup(volume.path, user.fsGroup);
    const log = await terminationLogFile(node, "first");
    const options = { ...user, volume: volume.path };
    await using pod = await startedHalfWay(node, { ...options, terminationLog: log });
    const askedMs = performance.now();

    const first = await pod.stop();

    expectEnd(first, 143);
    expect(performance.now() - askedMs).toBeLessThan(10_000);
    expect(JSON.parse(await readFile(log.file, "utf8"))).toMatchObject({ outcome: "interrupted", exitCode: 143 });
    node.emulator.clearFaults();
    const second = await node.podToEnd(options);
    expectEnd(second, 0);
    expect(await differencesFrom(node.bucket, volume.path, { prefix, ignore })).toEqual([]);
    expect(second.stderr).toMatch(/"event":"resuming".*"copied":[1-9]/);
  });

  test("by SIGKILL leaves what the next one can go on with", async () => {
    await using node = await openFilled();
    await using pod = await startedHalfWay(node);
    await pod.kill("SIGKILL");
    expectEnd(await pod.ended, 137);
    node.emulator.clearFaults();
    expectEnd(await node.podToEnd(), 0);
    expect(await differencesFrom(node.bucket, node.target, { prefix })).toEqual([]);
  });

  test("by SIGINT exits with 130, and by a second signal at once", async () => {
    await using node = await openFilled();
    await using pod = await startedHalfWay(node);
    await pod.kill("SIGINT");
    await pod.kill("SIGTERM").catch(() => {});
    expectEnd(await pod.ended, 130);
  });

  test("while it holds a failure exits with the code of the failure", async () => {
    await using node = await openFilled();
    await using pod = await node.pod({ path: "no-such/" });
    await pod.logged("holding");
    expectEnd(await pod.stop(), 3);
  });
});

describe.skipIf(obstacle !== undefined)("a pod's exit code and termination message", () => {
  test.each([
    [2, "--retries", ["--retries=many"], {}],
    [3, "no-such", [], { path: "no-such/" }],
    [6, "data/large/", ["--retries=0"], {}],
    [7, "503", ["--retries=0"], {}],
  ] as const)("are %i and name %s", async (code, words, more, options) => {
    await using node = await openFilled();
    if (code === 6) node.emulator.addFaults({ kind: "flipBit", at: 3, operation: "get", key: /large/ });
    if (code === 7) node.emulator.addFaults({ kind: "status", status: 503 });
    const end = await node.podToEnd({ ...options, more: [...more, "--fail-hold=0"] });
    expectEnd(end, code);
    const message = JSON.parse(end.message);
    expect(message).toMatchObject({ outcome: "failed", exitCode: code });
    expect(message.reason).toContain(words);
    expect(Buffer.byteLength(end.message)).toBeLessThan(4096);
  });

  test("are 5 for a volume that is too small, before the first byte", async () => {
    await using node = await openNode();
    node.emulator.generate({ bucket: bucketName, prefix, count: 3, sizeBytes: 8 * mib });
    await using volume = await freshVolume(node, 16 * mib);
    if (volume === undefined) throw new Error(notMounted);
    const end = await node.podToEnd({ volume: volume.path, more: ["--fail-hold=0"] });
    expectEnd(end, 5);
    expect(JSON.parse(end.message).reason).toMatch(/needed|need/);
    expect(node.emulator.counters.get).toBe(0);
  });

  test.each(users)("are there where the log can be written, and no matter where it cannot: %s", async (_, user) => {
    await using node = await openFilled();
    if (user.fsGroup !== undefined) await applyFsGroup(node.target, user.fsGroup, []);
    const log = await terminationLogFile(node, "sealed", false);
    const sealed = await node.podToEnd({ ...user, terminationLog: log });
    expectEnd(sealed, 0);
    expect(sealed.message).toBe("");
    expect(sealed.stderr).toMatch(/"level":"warn".*termination-log/);

    await using without = await node.pod(user);
    const absent = await without.ended;
    expectEnd(absent, 0);
    expect(absent.stderr).not.toContain("termination-log");
  });
});
