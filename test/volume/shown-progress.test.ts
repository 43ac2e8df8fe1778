import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { dropShownProgress, loadShownProgress, saveShownProgress } from "../../src/volume/shown-progress.ts";
import { run, temporaryDirectory } from "./support.ts";

const state = ".oss-populator";

test("a percentage comes back as it was kept last, and is gone once it is dropped", async () => {
  await using place = await temporaryDirectory();
  await mkdir(`${place.path}/${state}`);
  expect(await loadShownProgress(place.path)).toBe(0);
  await saveShownProgress(place.path, 7);
  await saveShownProgress(place.path, 99.99);
  expect(await loadShownProgress(place.path)).toBe(99.99);
  expect(await readdir(`${place.path}/${state}`)).toEqual(["progress"]);
  await dropShownProgress(place.path);
  await dropShownProgress(place.path);
  expect(await loadShownProgress(place.path)).toBe(0);
});

test("without a state directory nothing is kept, and none is made", async () => {
  await using place = await temporaryDirectory();
  await saveShownProgress(place.path, 7);
  await dropShownProgress(place.path);
  expect(await loadShownProgress(place.path)).toBe(0);
  expect(await readdir(place.path)).toEqual([]);
});

test("whatever else stands at its place counts as nothing shown, and is not written through", async () => {
  await using place = await temporaryDirectory();
  const path = `${place.path}/${state}/progress`;
  await mkdir(`${place.path}/${state}`);
  for (const text of ["", "100\n", "-1\n", "7", "7.123\n", "1e1\n", "7\n7\n", "x".repeat(1000)]) {
    await writeFile(path, text);
    expect(await loadShownProgress(place.path)).toBe(0);
  }
  await run("rm", [path]);
  await writeFile(`${place.path}/precious`, "5\n");
  await symlink("../precious", path);
  expect(await loadShownProgress(place.path)).toBe(0);
  await saveShownProgress(place.path, 8);
  expect(await readFile(`${place.path}/precious`, "utf8")).toBe("5\n");
  await run("rm", [path]);
  await run("mkfifo", [path]);
  expect(await loadShownProgress(place.path)).toBe(0);
});
