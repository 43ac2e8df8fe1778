import { link, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { CopyError } from "../../src/errors.ts";
import { resolvePath } from "../../src/volume/path.ts";
import { failure, modifiedMs, run, target, temporaryDirectory, writerAt } from "./support.ts";

it("a staged file gets its time with its name", async () => {
  await using place = await temporaryDirectory();
  using writer = writerAt(place.path, { placement: "staged" });
  writer.writeWhole(target("a/f", 3), Buffer.from("new"));
  expect(await readdir(`${place.path}/a`)).toEqual([".oss-populator.v1.tmp"]);
  expect((await stat(`${place.path}/a/.oss-populator.v1.tmp`)).mtimeMs).toBeGreaterThan(modifiedMs);
  expect(await writer.publish([target("a/f", 3)])).toEqual([undefined]);
  expect(await readdir(`${place.path}/a`)).toEqual(["f"]);
  expect((await stat(`${place.path}/a/f`)).mtimeMs).toBe(modifiedMs);
});

it("a published file replaces the old one whole; a second name of the old one keeps the old bytes", async () => {
  await using place = await temporaryDirectory();
  await writeFile(`${place.path}/f`, "old");
  await link(`${place.path}/f`, `${place.path}/other`);
  using writer = writerAt(place.path, { placement: "staged" });
  writer.writeWhole(target("f", 3), Buffer.from("new"));
  expect(await readFile(`${place.path}/f`, "utf8")).toBe("old");
  expect(await writer.publish([target("f", 3)])).toEqual([undefined]);
  expect(await readFile(`${place.path}/f`, "utf8")).toBe("new");
  expect(await readFile(`${place.path}/other`, "utf8")).toBe("old");
});

it("each file of a batch has its own verdict, and what is no file is never replaced", async () => {
  await using place = await temporaryDirectory();
  await mkdir(`${place.path}/directory`);
  await run("mkfifo", [`${place.path}/fifo`]);
  await symlink("elsewhere", `${place.path}/symlink`);
  using writer = writerAt(place.path, { placement: "staged" });
  const targets = ["directory", "fifo", "symlink", "missing", "good"].map((name) => target(name, 1, `v-${name}`));
  for (const each of targets) if (each.path !== "missing") writer.writeWhole(each, Buffer.from("x"));
  const results = await writer.publish(targets);
  expect(results.map((error) => (error instanceof CopyError ? error.kind : error))).toEqual([
    "occupied",
    "occupied",
    "occupied",
    "volume",
    undefined,
  ]);
  expect((await readdir(place.path)).sort()).toEqual(["directory", "fifo", "good", "symlink"]);
  expect(await writer.inspect(targets.map(({ path }) => path))).toMatchObject([
    { kind: "directory" },
    { kind: "other" },
    { kind: "other" },
    undefined,
    { kind: "file", sizeBytes: 1, modifiedMs },
  ]);
});

it("two keys that the filesystem takes for one name do not overwrite each other", async () => {
  await using place = await temporaryDirectory();
  await writeFile(`${place.path}/older`, "older");
  await new Promise((resolve) => setTimeout(resolve, 20));
  await writeFile(`${place.path}/clock`, "");
  const runStartedCtimeMs = (await stat(`${place.path}/clock`)).ctimeMs;
  using writer = writerAt(place.path, { placement: "staged", runStartedCtimeMs });
  for (const version of ["v1", "v2"]) writer.writeWhole(target("older", 2, version), Buffer.from(version));
  const [first, second] = await writer.publish([target("older", 2, "v1"), target("older", 2, "v2")]);
  expect(first).toBeUndefined();
  expect(second).toMatchObject({ kind: "unsupported" });
  expect(await readFile(`${place.path}/older`, "utf8")).toBe("v1");
});

it("a writer that must not replace leaves what stands at a name, and nothing of its own", async () => {
  await using place = await temporaryDirectory();
  await writeFile(`${place.path}/f`, "old");
  using writer = writerAt(place.path, { placement: "staged", replaces: false });
  for (const name of ["f", "g"]) writer.writeWhole(target(name, 3, `v-${name}`), Buffer.from("new"));
  const [taken, free] = await writer.publish([target("f", 3, "v-f"), target("g", 3, "v-g")]);
  expect(taken).toMatchObject({ kind: "occupied" });
  expect(free).toBeUndefined();
  expect(await readFile(`${place.path}/f`, "utf8")).toBe("old");
  expect((await readdir(place.path)).sort()).toEqual(["f", "g"]);
});

it("a temporary file that this run has made is not taken for one that a killed run left", async () => {
  await using place = await temporaryDirectory();
  using earlier = writerAt(place.path, { placement: "staged" });
  earlier.writeWhole(target("f", 3), Buffer.from("old"));
  await new Promise((resolve) => setTimeout(resolve, 20));
  await writeFile(`${place.path}/clock`, "");
  const runStartedCtimeMs = (await stat(`${place.path}/clock`)).ctimeMs;
  using writer = writerAt(place.path, { placement: "staged", runStartedCtimeMs });
  writer.writeWhole(target("f", 3), Buffer.from("new"));
  await failure("unsupported", () => writer.writeWhole(target("f", 3), Buffer.from("two")));
  await failure("unsupported", () => writer.openFile(target("f", 3)));
  expect(await writer.publish([target("f", 3)])).toEqual([undefined]);
  expect(await readFile(`${place.path}/f`, "utf8")).toBe("new");
});

it("with a sync of each file the time is set before the name, and directories are synced once", async () => {
  await using place = await temporaryDirectory();
  using writer = writerAt(place.path, { placement: "staged", fsyncFiles: true });
  await writer.writeWholePooled(target("a/f", 1), Buffer.from("x"));
  expect((await stat(`${place.path}/a/.oss-populator.v1.tmp`)).mtimeMs).toBe(modifiedMs);
  expect(await writer.publish([target("a/f", 1)])).toEqual([undefined]);
  await writer.syncDirectories();
  await writer.syncDirectories();
});

it("inspection sees only what real directories lead to", async () => {
  await using place = await temporaryDirectory();
  await mkdir(`${place.path}/real`);
  await writeFile(`${place.path}/real/f`, "abc");
  await symlink("real", `${place.path}/link`);
  using writer = writerAt(place.path, { placement: "staged" });
  const paths = ["real/f", "link/f", "real/f/below", "real/nothing", "link"].map(resolvePath);
  const found = await writer.inspect(paths);
  expect(found.map((each) => each?.kind)).toEqual(["file", undefined, undefined, undefined, "other"]);
  expect(found[0]?.sizeBytes).toBe(3);
  const many = await writer.inspect(Array.from({ length: 300 }, (_, i) => resolvePath(`missing${i}/x`)));
  expect(many.every((each) => each === undefined)).toBe(true);
  expect((await readdir(place.path)).sort()).toEqual(["link", "real"]);
});
