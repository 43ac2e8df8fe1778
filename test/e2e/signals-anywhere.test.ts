import { writeFileSync } from "node:fs";
import { access, chmod, copyFile, rename, writeFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { chanceOf, inRounds, soakSeconds, soakTimeout } from "../support/soak.ts";
import { mountTmpfs, notMounted } from "./support/mounts.ts";
import { bucketName, openScene, type Scene } from "./support/scene.ts";
import { differencesFrom, pathsIn } from "./support/tree.ts";
import { childOf, countNames, freePort, until } from "./support/waiting.ts";
import { Witness } from "./support/witness.ts";

const codes = { SIGINT: 130, SIGTERM: 143 } as const;
type Signal = keyof typeof codes;
const signals = ["SIGINT", "SIGTERM"] as const;
const prefix = "data/";
const asProcess1 = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"];
const count = 200;

async function openFilled(): Promise<Scene> {
  const scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/small/", count, sizeBytes: { min: 0, max: 5000 } });
  scene.emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 1, sizeBytes: 3 * 2 ** 20 + 1 });
  scene.emulator.addFaults({ kind: "delay", ms: 10, operation: "get" });
  return scene;
}

/** What a process may take to end, given what this machine lets it have. */
function patienceMs({ worstLatenessMs }: Witness): number {
  return 2000 + 20 * worstLatenessMs;
}

function send(pid: number, signal: Signal): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it has ended by itself
  }
}

test("a signal at any moment, or two, stops every run with the right code and in time, and another one completes", {
  timeout: soakTimeout,
}, async () => {
  const seen = new Map<string, number>();
  await inRounds(4, async (seed) => {
    const random = chanceOf(seed);
    const [first, second] = random() < 0.5 ? signals : signals.toReversed();
    const verb = random() < 0.7 ? "populate" : "copy";
    const two = random() < 0.3;
    await using scene = await openFilled();
    await using run = scene.start(verb, ["--concurrency", "8", "--part-size", "512KiB"]);
    // From the program's start, which takes most of the time, to its end.
    await setTimeout(random() < 0.3 ? random() * 600 : 0);
    if (random() < 0.8) {
      const some = random() * (count + 7);
      await Promise.race([until("requests", () => scene.emulator.counters.get >= some), run.result]);
    }
    using witness = new Witness();
    const askedFor = scene.emulator.counters.get;
    const sentMs = performance.now();
    send(run.pid, first ?? "SIGTERM");
    if (two) {
      await setTimeout(random() * 100);
      send(run.pid, second ?? "SIGINT");
    }
    const result = await run.result;
    const tookMs = performance.now() - sentMs;
    seen.set(`${result.exitCode}`, (seen.get(`${result.exitCode}`) ?? 0) + 1);

    // Without a handler yet, the kernel ends it; that is the same code to whoever waits.
    const code = result.exitCode ?? codes[(run.child.signalCode ?? "SIGKILL") as Signal];
    // A process that did not get to run in between may see them in the other order.
    const expected = two ? [130, 143] : [codes[first ?? "SIGTERM"]];
    expect(askedFor < count + 1 ? expected : [0, ...expected]).toContain(code);
    expect(tookMs).toBeLessThan(patienceMs(witness));
    if (code === 0) expect(await pathsIn(scene.target)).not.toContain(".oss-populator/");
    expect(result.stderr).not.toMatch(/\\n {4}at |\n {4}at /);
    scene.emulator.clearFaults();

    const again = await scene.run(verb);

    expect([again.exitCode, again.stderr]).toEqual([0, expect.any(String)]);
    expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
  });
  if (soakSeconds > 0) console.log(`ends: ${JSON.stringify([...seen])}`);
});

test("a signal at any moment stops process 1 of a container, and another run completes", {
  timeout: soakTimeout,
}, async (context) => {
  await inRounds(1, async (seed) => {
    const random = chanceOf(seed + 1000);
    await using scene = await openFilled();
    await using volume = await mountTmpfs(scene.scratch.path, "size=40m");
    if (volume === undefined) return context.skip(notMounted);
    const options = { target: volume.path, wrapper: asProcess1 };
    await using run = scene.start("populate", ["--concurrency", "8"], options);
    const child = await childOf(run.pid);
    // The kernel drops what comes before the program could say that it wants signals.
    await run.said(/starting/);
    const some = random() * count;
    await Promise.race([until("requests", () => scene.emulator.counters.get >= some), run.result]);
    const signal = random() < 0.5 ? "SIGINT" : "SIGTERM";
    using witness = new Witness();
    const sentMs = performance.now();
    send(child, signal);
    const result = await run.result;
    expect([result.exitCode, result.report?.outcome]).toEqual([codes[signal], "interrupted"]);
    expect(performance.now() - sentMs).toBeLessThan(patienceMs(witness));
    scene.emulator.clearFaults();
    expect(await scene.run("populate", [], options)).toMatchObject({ exitCode: 0 });
    expect(await differencesFrom(scene.bucket, volume.path, { prefix })).toEqual([]);
  });
});

/** A run whose `sync` takes its time, in a namespace where the system's own program is hidden behind it. */
async function withSlowSync(scene: Scene, seconds: number): Promise<readonly string[] | undefined> {
  const [real, slow] = [`${scene.scratch.path}/real-sync`, `${scene.scratch.path}/slow-sync`];
  const program = await firstThatExists(["/usr/bin/sync", "/bin/sync"]);
  if (program === undefined || process.getuid?.() !== 0) return undefined;
  await copyFile(program, real);
  // The first one is the test of whether it works at all.
  const first = `${scene.scratch.path}/first-sync`;
  await writeFile(
    slow,
    `#!/bin/sh
[ -e ${first} ] && sleep ${seconds}
touch ${first}
exec ${real} "$@"
`,
  );
  await chmod(slow, 0o755);
  const script = `mount --bind ${slow} ${program} && exec "$@"`;
  return ["unshare", "--mount", "sh", "-c", script, "sh"];
}

async function firstThatExists(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths)
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  return undefined;
}

test("a signal while everything is synced is no success, and is not kept waiting for ever", async (context) => {
  await using scene = await openFilled();
  scene.emulator.clearFaults();
  const wrapper = await withSlowSync(scene, 6);
  if (wrapper === undefined) return context.skip("needs root, to put a slow program in the place of sync");
  const port = await freePort();
  await using run = scene.start("populate", ["--metrics-listen", `127.0.0.1:${port}`], { wrapper });
  const phase = async () =>
    (await fetch(`http://127.0.0.1:${port}/progress`).then((answer) => answer.json())) as { phase: string };
  await until("the last sync", async () => (await phase().catch(() => undefined))?.phase === "syncing");
  send(run.pid, "SIGTERM");
  await setTimeout(300);
  expect(run.child.exitCode).toBe(null); // what is dirty gets some seconds
  using witness = new Witness();
  const sentMs = performance.now();
  send(run.pid, "SIGINT");
  const result = await run.result;
  expect(result.exitCode).toBe(143);
  expect(performance.now() - sentMs).toBeLessThan(patienceMs(witness));

  expect(await scene.run("populate")).toMatchObject({ exitCode: 0 });
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});

test("a signal while the state is removed does not change success", async () => {
  await using scene = await openFilled();
  scene.emulator.clearFaults();
  scene.emulator.addFaults({ kind: "delay", ms: 1500, operation: "get", key: /large/, nth: 1 });
  // So much to remove that there is time for a signal.
  const many = 8000;
  const more = await scene.scratch.directory("more");
  for (let name = 0; name < many; name++) writeFileSync(`${more}/${name}`, "");
  await using run = scene.start("populate");
  const state = `${scene.target}/.oss-populator`;
  await until("the state", async () => (await countNames(state)) > 0);
  await rename(more, `${state}/more`);
  await until("the removal", async () => (await countNames(`${state}/more`)) < many);
  send(run.pid, "SIGTERM");
  const left = await countNames(state);

  const result = await run.result;

  expect([result.exitCode, result.report?.outcome]).toEqual([0, "complete"]);
  expect(left).toBeGreaterThan(0);
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});
