import { chmod, readFile, writeFile } from "node:fs/promises";
import { expect, type TestContext, test } from "vitest";
import type { CliResult } from "./support/cli.ts";
import { canChangeHelpers, cannotChangeHelpers, withHelpers, withoutHelpers } from "./support/helpers.ts";
import { expectRefusal } from "./support/refusal.ts";
import { bucketName, openScene, type Scene, type Verb } from "./support/scene.ts";
import { differencesFrom, pathsIn } from "./support/tree.ts";

const prefix = "data/";
const verbs = ["populate", "copy"] as const;

async function openFilled(context: TestContext): Promise<Scene> {
  if (!(await canChangeHelpers())) context.skip(cannotChangeHelpers);
  const scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 300, sizeBytes: { min: 0, max: 9000 } });
  scene.emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 1, sizeBytes: 70 * 2 ** 20 + 5 });
  return scene;
}

/** Runs a verb with a `sync` that fails from its n-th call on, and tells how often it was called. */
async function runWithFailingSync(scene: Scene, verb: Verb, failsFrom: number): Promise<CliResult & { syncs: number }> {
  const directory = await scene.scratch.directory("helpers");
  const log = `${scene.scratch.path}/syncs`;
  await writeFile(log, "");
  const script = `#!/bin/sh
echo >> ${log}
[ "$(wc -l < ${log})" -lt ${failsFrom} ] && exec /usr/bin/sync "$@"
echo "sync: error syncing '$2': Input/output error" >&2
exit 1
`;
  await writeFile(`${directory}/sync`, script);
  await chmod(`${directory}/sync`, 0o755);
  const result = await scene.run(verb, [], { wrapper: withHelpers(directory) });
  return { ...result, syncs: (await readFile(log, "utf8")).length };
}

test.for(verbs)("%s does without sync, flock and fallocate, and says what it lacks", async (verb, context) => {
  await using scene = await openFilled(context);

  const result = await scene.run(verb, [], { wrapper: withoutHelpers() });

  expect(result).toMatchObject({ exitCode: 0, report: { durability: "fsync" } });
  const warnings = result.lines.filter(({ event }) => event === "lock");
  expect(warnings).toMatchObject([{ level: "warn", problem: expect.stringContaining("cannot be locked") }]);
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});

test.for(verbs)("%s syncs file by file where sync -f fails at once", async (verb, context) => {
  await using scene = await openFilled(context);

  const result = await runWithFailingSync(scene, verb, 1);

  expect(result).toMatchObject({ exitCode: 0, syncs: 1, report: { durability: "fsync" } });
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});

test("what is found complete is synced file by file where there is no sync -f", async (context) => {
  await using scene = await openFilled(context);
  expect(await scene.run("populate")).toMatchObject({ exitCode: 0 });

  const again = await scene.run("populate", [], { wrapper: withoutHelpers() });

  expect(again).toMatchObject({ exitCode: 0, report: { durability: "fsync", objects: { copied: 0 } } });
});

test.for(verbs)(
  "a sync that fails under %s is final: it is not tried again, and nothing is published",
  async (verb, context) => {
    await using scene = await openFilled(context);

    const result = await runWithFailingSync(scene, verb, 2);

    expectRefusal(result, 5, "could not be synced to stable storage", "Input/output error");
    expect(result.syncs).toBe(2);
    const paths = await pathsIn(scene.target);
    if (verb === "populate") expect(paths).toContain(".oss-populator/owner.json");
    else expect(paths.filter((path) => !path.endsWith("/") && !path.includes(".oss-populator"))).toEqual([]);

    expect(await scene.run(verb)).toMatchObject({ exitCode: 0, report: { durability: "syncfs" } });
    expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
  },
);
