import { mkdir, readdir, writeFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { expect, it, vi } from "vitest";
import { Batch } from "../../src/volume/batch.ts";
import { removeContents } from "../../src/volume/remove-tree.ts";
import { openDirectory } from "../../src/volume/tree.ts";
import { temporaryDirectory } from "./support.ts";

/** A filesystem that skips every other entry, as some do with those of a directory that shrinks while it is read. */
vi.mock("../../src/volume/tree.ts", { spy: true });

it("nothing is left where reading a directory skips entries, neither in it nor below it", async () => {
  const tree = await import("../../src/volume/tree.ts");
  const { entriesOf } = await vi.importActual<typeof tree>("../../src/volume/tree.ts");
  vi.mocked(tree.entriesOf).mockImplementation(async function* (directory) {
    let number = 0;
    for await (const entry of entriesOf(directory)) if (number++ % 2 === 0) yield entry;
  });
  await using place = await temporaryDirectory();
  for (const directory of ["", "/a", "/b"]) {
    await mkdir(place.path + directory, { recursive: true });
    for (let i = 0; i < 20; i++) await writeFile(`${place.path}${directory}/${i}`, "");
  }
  await using directory = await openDirectory(place.path);
  await removeContents(directory, new Set(["7"]), new AbortController().signal);
  expect(await readdir(place.path)).toEqual(["7"]);
});

it("a file that cannot be removed is told when its batch ends, whatever is looked at meanwhile", async () => {
  const unlink = Promise.reject(new Error("EIO"));
  const batch = new Batch(2);
  await batch.add(unlink);
  await setTimeout(10); // long enough for a rejection that nobody handles to end the process
  await expect(batch.add(Promise.resolve())).rejects.toThrow("EIO");
  await batch.end();
});
