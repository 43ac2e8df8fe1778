import { chmod, stat } from "node:fs/promises";
import { expect, test } from "vitest";
import { bucketName, openScene, type Scene } from "./support/scene.ts";
import { readTree } from "./support/tree.ts";

const isRoot = process.getuid?.() === 0;
const needsRoot = "needs root, to give files away";

async function openFilled(): Promise<Scene> {
  const scene = await openScene();
  scene.emulator.putObject(bucketName, "data/a", "x", { lastModifiedMs: 1_600_000_000_000 });
  scene.emulator.putObject(bucketName, "data/sub/large", Buffer.alloc(9 * 2 ** 20, 1), {
    lastModifiedMs: 1_600_000_001_000,
  });
  scene.emulator.putObject(bucketName, "data/sub/marker/", "");
  return scene;
}

for (const verb of ["populate", "copy"] as const) {
  test.concurrent(`${verb} gives files and directories the wanted owner, group and modes`, async (context) => {
    if (!isRoot) return context.skip(needsRoot);
    await using scene = await openFilled();
    const args = ["--uid", "1234", "--gid", "2345", "--file-mode", "0640", "--dir-mode", "2750"];

    expect(await scene.run(verb, args)).toMatchObject({ exitCode: 0 });

    const tree = await readTree(scene.target);
    expect(tree.size).toBe(4);
    for (const [path, { kind, uid, gid, mode }] of tree) {
      const wanted = kind === "directory" ? "2750" : "640";
      expect([path, uid, gid, mode.toString(8)]).toEqual([path, 1234, 2345, wanted]);
    }
    expect(await stat(scene.target)).toMatchObject({ uid: 0, gid: 0 });
  });

  test.concurrent(`${verb} with --chown-root gives the target the same`, async (context) => {
    if (!isRoot) return context.skip(needsRoot);
    await using scene = await openFilled();
    await chmod(scene.target, 0o700);

    const args = ["--uid", "1234", "--gid", "2345", "--dir-mode", "2770", "--chown-root"];
    expect(await scene.run(verb, args)).toMatchObject({ exitCode: 0 });

    const { uid, gid, mode } = await stat(scene.target);
    expect([uid, gid, (mode & 0o7777).toString(8)]).toEqual([1234, 2345, "2770"]);
  });
}

test.concurrent("directories may end up closed to whoever fills them", async (context) => {
  if (!isRoot) return context.skip(needsRoot);
  await using scene = await openFilled();
  const asOther = ["setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups", "--no-new-privs"];
  await Promise.all([scene.scratch.path, scene.target].map((path) => chmod(path, 0o777)));

  const result = await scene.run("populate", ["--dir-mode", "0500", "--file-mode", "0400"], { wrapper: asOther });

  expect(result).toMatchObject({ exitCode: 0 });
  const tree = await readTree(scene.target);
  expect([...tree].map(([path, { mode, uid }]) => [path, mode.toString(8), uid])).toEqual([
    ["a", "400", 1234],
    ["sub", "500", 1234],
    ["sub/large", "400", 1234],
    ["sub/marker", "500", 1234],
  ]);
});

test.concurrent("an owner that we may not set is refused before the first byte", async (context) => {
  if (!isRoot) return context.skip(needsRoot);
  await using scene = await openFilled();
  const asOther = ["setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups", "--no-new-privs"];
  await Promise.all([scene.scratch.path, scene.target].map((path) => chmod(path, 0o777)));

  const result = await scene.run("populate", ["--uid", "0"], { wrapper: asOther });

  expect(result).toMatchObject({ exitCode: 5 });
  expect(result.report?.reason).toContain("uid 0");
  expect((await readTree(scene.target)).size).toBe(0);
  expect(scene.emulator.counters).toMatchObject({ get: 0 });
});

test.concurrent("the umask does not matter", async () => {
  await using scene = await openFilled();
  const wrapper = ["sh", "-c", 'umask 077; exec "$@"', "sh"];

  expect(await scene.run("populate", [], { wrapper })).toMatchObject({ exitCode: 0 });

  const modes = [...(await readTree(scene.target))].map(([path, { mode }]) => [path, mode.toString(8)]);
  expect(modes).toEqual([
    ["a", "644"],
    ["sub", "755"],
    ["sub/large", "644"],
    ["sub/marker", "755"],
  ]);
});

test.concurrent("files get their object's modification time, unless told otherwise", async () => {
  await using scene = await openFilled();
  await scene.run("copy");
  const tree = await readTree(scene.target);
  expect([tree.get("a")?.mtimeMs, tree.get("sub/large")?.mtimeMs]).toEqual([1_600_000_000_000, 1_600_000_001_000]);
  const beforeMs = Date.now() - 60_000;
  const target = await scene.scratch.directory("without");

  expect(await scene.run("populate", ["--no-mtime"], { target })).toMatchObject({ exitCode: 0 });

  const untimed = await readTree(target);
  expect(untimed.get("a")?.mtimeMs).toBeGreaterThan(beforeMs);
  expect(untimed.get("sub/large")?.mtimeMs).toBeGreaterThan(beforeMs);
});
