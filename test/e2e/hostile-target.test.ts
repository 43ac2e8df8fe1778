import { execFile } from "node:child_process";
import { lstat, mkdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { expectRefusal } from "./support/refusal.ts";
import { bucketName, openScene, type Scene } from "./support/scene.ts";
import { differencesFrom, pathsIn } from "./support/tree.ts";

const run = promisify(execFile);
const prefix = "data/";

/** Puts a link to `outside` into a directory's place and takes it away again, as fast as it can. */
function swapForLinks(directory: string, outside: string): { stop(): Promise<number> } {
  let running = true;
  let swaps = 0;
  const aside = `${directory}.aside`;
  const swapping = (async () => {
    while (running) {
      try {
        await rename(directory, aside);
        await symlink(outside, directory);
        swaps++;
        await rm(directory);
      } catch {
        // not there yet, or made anew in between
      }
      await rename(aside, directory).catch(() => {});
      await rm(aside, { recursive: true, force: true }).catch(() => {});
    }
  })();
  return {
    stop: async () => {
      running = false;
      await swapping;
      return swaps;
    },
  };
}

for (const verb of ["populate", "copy"] as const) {
  test(`directories that are swapped for links while ${verb} writes lead nothing out of the target`, async () => {
    await using scene = await openScene();
    for (const [directory, count, sizeBytes] of [
      ["a", 300, 3000],
      ["b/c", 300, 100],
      ["d", 2, 3_000_000],
    ] as const) {
      scene.emulator.generate({ bucket: bucketName, prefix: `${prefix}${directory}/`, count, sizeBytes });
    }
    scene.emulator.addFaults({ kind: "delay", ms: 4, operation: "get" });
    const outside = await scene.scratch.directory("outside");
    await writeFile(`${outside}/0001`, "precious");
    // Not `b/c` too: while `b` is a link, its link would be made outside by us.
    const swaps = ["a", "b", "d"].map((name) => swapForLinks(`${scene.target}/${name}`, outside));
    const result = await scene.run(verb, ["--concurrency", "8", "--part-size", "512KiB", "--max-failures", "none"]);
    const made = await Promise.all(swaps.map(({ stop }) => stop()));

    expect(made.reduce((sum, count) => sum + count)).toBeGreaterThan(10);
    expect([result.exitCode, result.stderr]).toEqual([expect.toBeOneOf([0, 4, 5]), expect.any(String)]);
    expect(await pathsIn(outside)).toEqual(["0001"]);
    expect(await readFile(`${outside}/0001`, "utf8")).toBe("precious");
  });
}

async function openPlanted(): Promise<Scene & { readonly outside: string }> {
  const scene = await openScene();
  for (const name of ["a", "dir/b", "dir/c"]) scene.emulator.putObject(bucketName, prefix + name, "from the bucket");
  const outside = await scene.scratch.directory("outside");
  await writeFile(`${outside}/b`, "precious");
  return { ...scene, outside };
}

for (const verb of ["populate", "copy"] as const) {
  test.concurrent(`links that stand in the target before ${verb} begins are neither followed nor replaced`, async () => {
    await using scene = await openPlanted();
    await symlink(scene.outside, `${scene.target}/dir`);
    await symlink(`${scene.outside}/b`, `${scene.target}/a`);
    const args = verb === "populate" ? ["--allow-non-empty"] : [];
    const result = await scene.run(verb, args);
    expectRefusal(result, 5, "data/a");
    expect(await pathsIn(scene.outside)).toEqual(["b"]);
    expect(await readFile(`${scene.outside}/b`, "utf8")).toBe("precious");
    for (const name of ["a", "dir"]) expect((await lstat(`${scene.target}/${name}`)).isSymbolicLink()).toBe(true);
  });
}

/** What may stand where our state belongs, made by `plant` in the state directory of a run that was stopped. */
const planted: Record<string, (state: string, outside: string) => Promise<unknown>> = {
  "a link for a checkpoint": (state, outside) => symlink(`${outside}/b`, `${state}/checkpoint`),
  "a FIFO for a checkpoint": (state) => run("mkfifo", [`${state}/checkpoint`]),
  "a link for an unfinished owner record": (state, outside) => symlink(`${outside}/b`, `${state}/owner.json.tmp`),
  "a checkpoint of other work": (state) => writeFile(`${state}/checkpoint`, foreignCheckpoint),
};
const foreignCheckpoint = await readFile(new URL("../fuzz/checkpoint/ok-by-key.txt", import.meta.url));

test.concurrent.each(Object.entries(planted))(
  "%s in our state is not trusted, not followed and not waited for",
  async (_, plant) => {
    await using scene = await openPlanted();
    scene.emulator.addFaults({ kind: "flipBit", at: 0, operation: "get" });
    expect(await scene.run("populate", ["--retries", "0"])).toMatchObject({ exitCode: 6 });
    scene.emulator.clearFaults();
    const state = `${scene.target}/.oss-populator`;
    await rm(`${state}/checkpoint`, { force: true });
    await plant(state, scene.outside);

    const result = await scene.run("populate");

    expect([result.exitCode, result.stderr]).toEqual([expect.toBeOneOf([0, 5]), expect.any(String)]);
    if (result.exitCode === 0) expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
    expect(await readFile(`${scene.outside}/b`, "utf8")).toBe("precious");
  },
);

test.concurrent("a link or a FIFO in the place of the state directory or its record is refused and left alone", async () => {
  const plants: readonly ((target: string, outside: string) => Promise<unknown>)[] = [
    (target, outside) => symlink(outside, `${target}/.oss-populator`),
    async (target) => {
      await mkdir(`${target}/.oss-populator`);
      await run("mkfifo", [`${target}/.oss-populator/owner.json`]);
    },
    async (target, outside) => {
      await mkdir(`${target}/.oss-populator`);
      await symlink(`${outside}/b`, `${target}/.oss-populator/owner.json`);
    },
  ];
  for (const plant of plants) {
    await using scene = await openPlanted();
    await plant(scene.target, scene.outside);
    expectRefusal(await scene.run("populate"), 5, "target");
    expect(await pathsIn(scene.outside)).toEqual(["b"]);
    expect(scene.emulator.counters).toMatchObject({ get: 0 });
  }
});
