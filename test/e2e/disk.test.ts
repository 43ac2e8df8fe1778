import { execFile } from "node:child_process";
import { mkdir, open, readdir, rm, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { chanceOf, inRounds, soakTimeout } from "../support/soak.ts";
import { type Mount, mountExt4, mountTmpfs, mountWithQuota, notMounted, remountReadOnly } from "./support/mounts.ts";
import { expectRefusal } from "./support/refusal.ts";
import { bucketName, openScene, type Scene, type Verb } from "./support/scene.ts";
import { differencesFrom, pathsIn } from "./support/tree.ts";
import { until } from "./support/waiting.ts";

const run = promisify(execFile);
const mib = 2 ** 20;
const verbs = ["populate", "copy"] as const;
const prefix = "data/";

/** Enough objects, slow enough to come, that a disk can fail while they do; some small, one of many ranges. */
async function openSlow(delayMs = 15): Promise<Scene> {
  const scene = await openScene();
  const { emulator } = scene;
  emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 150, sizeBytes: { min: 0, max: 9000 } });
  emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 1, sizeBytes: 8 * mib + 5 });
  emulator.addFaults({ kind: "delay", ms: delayMs, operation: "get" });
  return scene;
}

const args = ["--concurrency", "6", "--part-size", "512KiB", "--retries", "2"];

/** Starts a run, and resolves when so many objects have been asked for. */
async function startAndWait(scene: Scene, verb: Verb, target: string, gets: number) {
  const cli = scene.start(verb, args, { target });
  await Promise.race([until("requests", () => scene.emulator.counters.get >= gets), cli.result]);
  return cli;
}

/** A disk that works again, as far as we are concerned: another run completes. */
async function expectCompletes(scene: Scene, verb: Verb, target: string): Promise<void> {
  scene.emulator.clearFaults();
  const { exitCode, report } = await scene.run(verb, args, { target });
  expect([exitCode, report?.reason]).toEqual([0, expect.stringMatching(/copied and verified/)]);
  const ignore = ["lost+found", "filler"];
  expect(await differencesFrom(scene.bucket, target, { prefix, ignore })).toEqual([]);
}

/** Takes all the room that is left, in bytes or in names. */
const eaters = {
  bytes: async (path: string): Promise<void> => {
    await using file = await open(`${path}/filler`, "w");
    const block = Buffer.alloc(64 * 1024);
    await (async () => {
      for (;;) await file.write(block);
    })().catch(() => {});
  },
  inodes: async (path: string): Promise<void> => {
    await mkdir(`${path}/filler`).catch(() => {});
    for (let name = 0; name < 10_000; name++) {
      if (!(await worked(writeFile(`${path}/filler/${name}`, "")))) return;
    }
  },
};

const volumes = {
  tmpfs: (directory: string) => mountTmpfs(directory, "size=24m,nr_inodes=700"),
  ext4: (directory: string) => mountExt4(directory, 48 * mib, "-N", "700"),
};

for (const [filesystem, mountIt] of Object.entries(volumes)) {
  for (const [what, eat] of Object.entries(eaters)) {
    if (filesystem === "ext4" && what === "inodes") continue; // as on tmpfs, and slower
    test.concurrent(`when somebody else takes all ${what} of ${filesystem} at any moment, it says so, and goes on once there is room`, {
      timeout: soakTimeout,
    }, async (context) => {
      await inRounds(1, async (seed) => {
        const random = chanceOf(seed + what.length);
        await using scene = await openSlow();
        await using volume = await mountIt(scene.scratch.path);
        if (volume === undefined) return context.skip(notMounted);
        const verb = verbs[Math.floor(random() * 2)] ?? "populate";
        const gets = 1 + Math.floor(random() * 120);
        await using cli = await startAndWait(scene, verb, volume.path, gets);
        await eat(volume.path);
        const result = await cli.result;
        // It may have been done by then.
        if (result.exitCode !== 0) expectRefusal(result, 5, "no space is left");
        await rm(`${volume.path}/filler`, { recursive: true, force: true });
        await expectCompletes(scene, verb, volume.path);
      });
    });
  }
}

test.concurrent("a filesystem that becomes read-only is told, and goes on when it is writable again", {
  timeout: soakTimeout,
}, async (context) => {
  await using scene = await openSlow();
  await using volume = await mountTmpfs(scene.scratch.path, "size=40m");
  if (volume === undefined) return context.skip(notMounted);
  await using cli = await startAndWait(scene, "populate", volume.path, 30);
  // Refused as long as a file is open for writing.
  await until("a moment without an open file", () => worked(remountReadOnly(volume)));
  expectRefusal(await cli.result, 5, "read-only");
  await run("mount", ["-o", "remount,rw", volume.path]);
  await expectCompletes(scene, "populate", volume.path);
});

test.concurrent("ext4 that gives up after an error of its own ends a run, and a repaired one is gone on with", {
  timeout: soakTimeout,
}, async (context) => {
  await using scene = await openSlow();
  await using volume = await mountExt4(scene.scratch.path, 64 * mib);
  if (volume === undefined) return context.skip(notMounted);
  await using cli = await startAndWait(scene, "copy", volume.path, 60);
  await run("mount", ["-o", "remount,abort", volume.path]);
  expectRefusal(await cli.result, 5, volume.path);
  await remountRepaired(volume.path, `${scene.scratch.path}/ext4.img`);
  await expectCompletes(scene, "copy", volume.path);
});

/** Whether it did. */
function worked(attempt: Promise<unknown>): Promise<boolean> {
  return attempt.then(
    () => true,
    () => false,
  );
}

async function remountRepaired(path: string, image: string): Promise<void> {
  await run("umount", [path]);
  await run("e2fsck", ["-fy", image]).catch(() => {}); // a repair is exit code 1
  await run("mount", ["-o", "loop", image, path]);
}

for (const [what, sizes] of [
  ["small files", { count: 800, sizeBytes: 40_000 }],
  ["a large file", { count: 1, sizeBytes: 32 * mib }],
] as const) {
  test.concurrent(`a device that cannot write any more is an I/O error for ${what}, never a success`, {
    timeout: soakTimeout,
  }, async (context) => {
    await using scene = await openScene();
    scene.emulator.generate({ bucket: bucketName, prefix, ...sizes });
    // The blocks of the device are found only when they are written, and there are not enough.
    await using backing = await mountTmpfs(scene.scratch.path, "size=24m");
    if (backing === undefined) return context.skip(notMounted);
    const image = backing.path;
    await using volume = (await mountExt4(image, 96 * mib)) as Mount;
    const result = await scene.run("populate", args, { target: volume.path });
    expect([result.exitCode, result.report?.outcome]).toEqual([5, "failed"]);
    expectRefusal(result, 5, volume.path);
    await run("mount", ["-o", "remount,size=200m", backing.path]);
    await remountRepaired(volume.path, `${image}/ext4.img`);
    await expectCompletes(scene, "populate", volume.path);
  });
}

for (const verb of verbs) {
  test.concurrent(`a quota that is used up under ${verb} is told as such, and gone on with once it is raised`, {
    timeout: soakTimeout,
  }, async (context) => {
    await using scene = await openSlow(0);
    await using volume = await mountWithQuota(scene.scratch.path, 4 * mib);
    if (volume === undefined) return context.skip("needs btrfs-progs and the right to mount");
    // What is free on the device does not tell.
    expectRefusal(await scene.run(verb, args, { target: volume.path }), 5, "quota");
    await volume.allow(100 * mib);
    await expectCompletes(scene, verb, volume.path);
  });
}

for (const verb of verbs) {
  test.concurrent(`a target that is removed under ${verb} is told, and not made anew`, {
    timeout: soakTimeout,
  }, async () => {
    await using scene = await openSlow();
    await using cli = await startAndWait(scene, verb, scene.target, 60);
    await until("its removal", () => worked(rm(scene.target, { recursive: true })));
    expectRefusal(await cli.result, 5, scene.target);
    expect(await pathsIn(scene.scratch.path)).not.toContain("target/");
    await mkdir(scene.target);
    await expectCompletes(scene, verb, scene.target);
  });

  test.concurrent(`a volume that is unmounted under ${verb} is told, and nothing is written to what was below it`, {
    timeout: soakTimeout,
  }, async (context) => {
    await using scene = await openSlow();
    await using volume = await mountTmpfs(scene.scratch.path, "size=40m");
    if (volume === undefined) return context.skip(notMounted);
    await using cli = await startAndWait(scene, verb, volume.path, 60);
    await run("umount", ["--lazy", volume.path]);
    const result = await cli.result;
    await run("mount", ["-t", "tmpfs", "tmpfs", volume.path]);
    await using below = await bindBelow(scene, volume.path);
    expect(await readdir(below.path)).toEqual([]);
    expectRefusal(result, 5, volume.path);
    await expectCompletes(scene, verb, volume.path);
  });
}

/** What a mount at this path hides. */
async function bindBelow(scene: Scene, path: string): Promise<Mount> {
  const place = await scene.scratch.directory("below");
  await run("mount", ["--bind", scene.scratch.path, place]);
  return {
    path: place + path.slice(scene.scratch.path.length),
    [Symbol.asyncDispose]: async () => void (await run("umount", [place])),
  };
}

test.concurrent("a volume that somebody empties while it is filled is not published", {
  timeout: soakTimeout,
}, async () => {
  await using scene = await openSlow();
  await using cli = await startAndWait(scene, "populate", scene.target, 60);
  await until("its emptiness", async () => {
    for (const name of await readdir(scene.target)) {
      await rm(`${scene.target}/${name}`, { recursive: true, force: true }).catch(() => {});
    }
    return !(await pathsIn(scene.target)).includes(".oss-populator/");
  });
  expectRefusal(await cli.result, 5, scene.target);
  await rm(scene.target, { recursive: true });
  await mkdir(scene.target);
  await expectCompletes(scene, "populate", scene.target);
});
