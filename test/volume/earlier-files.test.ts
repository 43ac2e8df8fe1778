import { link, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { failure, run, target, temporaryDirectory, writerAt } from "./support.ts";

const bytes = Buffer.from("new");

describe("the file of an earlier run", () => {
  it("makes way for the same object, complete or torn", async () => {
    await using place = await temporaryDirectory();
    await mkdir(`${place.path}/a`);
    await writeFile(`${place.path}/a/f`, "torn");
    using writer = writerAt(place.path);
    await failure("occupied", () => writer.writeWhole(target("a/f", 3), bytes));
    expect(writer.clearPlace(target("a/f", 3))).toBe(true);
    expect(writer.clearPlace(target("a/f", 3))).toBe(false);
    writer.writeWhole(target("a/f", 3), bytes);
    expect(await readFile(`${place.path}/a/f`, "utf8")).toBe("new");
  });

  it("in staging is the temporary one of the same version; the final name stays", async () => {
    await using place = await temporaryDirectory();
    for (const name of ["f", ".oss-populator.v1.tmp", ".oss-populator.v2.tmp"])
      await writeFile(`${place.path}/${name}`, name);
    using writer = writerAt(place.path, { placement: "staged" });
    expect(writer.clearPlace(target("f", 3, "v1"))).toBe(true);
    expect((await readdir(place.path)).sort()).toEqual([".oss-populator.v2.tmp", "f"]);
  });

  it("goes when its object has gone, and no directory is made for it", async () => {
    await using place = await temporaryDirectory();
    await writeFile(`${place.path}/f`, "old");
    using writer = writerAt(place.path);
    expect(writer.clearPlace(target("f"))).toBe(true);
    expect(writer.clearPlace(target("a/b/f"))).toBe(false);
    expect(await readdir(place.path)).toEqual([]);
  });

  it("is no symlink, FIFO, directory or hard link, and not reached through a symlink", async () => {
    await using place = await temporaryDirectory();
    await using elsewhere = await temporaryDirectory();
    await writeFile(`${elsewhere.path}/precious`, "precious");
    await symlink(elsewhere.path, `${place.path}/way`);
    await symlink(`${elsewhere.path}/precious`, `${place.path}/symlink`);
    await run("mkfifo", [`${place.path}/fifo`]);
    await mkdir(`${place.path}/directory`);
    await writeFile(`${place.path}/linked`, "data");
    await link(`${place.path}/linked`, `${place.path}/directory/other-name`);
    using writer = writerAt(place.path);
    for (const name of ["symlink", "fifo", "directory", "linked"])
      await failure("occupied", () => writer.clearPlace(target(name)));
    expect(writer.clearPlace(target("way/precious"))).toBe(false);
    expect(await readFile(`${elsewhere.path}/precious`, "utf8")).toBe("precious");
  });

  it("is never one that this run has made for another key", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, { runStartedCtimeMs: Date.now() - 60_000 });
    writer.writeWhole(target("f", 3), bytes);
    await failure("unsupported", () => writer.clearPlace(target("f", 3)));
    expect(await readFile(`${place.path}/f`, "utf8")).toBe("new");
  });
});
