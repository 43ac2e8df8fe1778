import { readlinkSync } from "node:fs";
import { type FileHandle, mkdir, open, symlink, writeFile } from "node:fs/promises";
import { expect, it, vi } from "vitest";
import { CopyError } from "../../src/errors.ts";
import { syncTree } from "../../src/volume/sync-tree.ts";
import { temporaryDirectory } from "./support.ts";

const never = new AbortController().signal;

async function handlePrototype(): Promise<FileHandle> {
  await using handle = await open("/");
  return Object.getPrototypeOf(handle);
}

/** The paths below `root` whose descriptors were synced while `work` ran. */
async function syncedBy(root: string, work: () => Promise<void>): Promise<string[]> {
  const synced: string[] = [];
  using _ = vi.spyOn(await handlePrototype(), "sync").mockImplementation(async function (this: FileHandle) {
    synced.push(readlinkSync(`/proc/self/fd/${this.fd}`).slice(root.length));
  });
  await work();
  return synced.sort();
}

async function makeTree(root: string): Promise<void> {
  for (const directory of ["/a/b", "/lost+found"]) await mkdir(root + directory, { recursive: true });
  for (const file of ["/1", "/a/2", "/a/b/3", "/lost+found/4"]) await writeFile(root + file, "");
  await symlink("/etc/passwd", `${root}/a/link`);
}

it.each([
  ["directories", ["", "/a", "/a/b"]],
  ["files and directories", ["", "/1", "/a", "/a/2", "/a/b", "/a/b/3"]],
] as const)("syncs %s, each once, and no link or lost+found", async (what, expected) => {
  await using place = await temporaryDirectory();
  await makeTree(place.path);
  expect(await syncedBy(place.path, () => syncTree(place.path, { what }, never))).toEqual(expected);
});

it("a file that cannot be synced is the target's failure", async () => {
  await using place = await temporaryDirectory();
  await makeTree(place.path);
  const error = Object.assign(new Error("EIO: i/o error, fsync"), { code: "EIO", syscall: "fsync" });
  using _ = vi.spyOn(await handlePrototype(), "sync").mockRejectedValue(error);
  const syncing = syncTree(place.path, { what: "files and directories" }, never);
  await expect(syncing).rejects.toSatisfy((failure) => failure instanceof CopyError && failure.kind === "volume");
});
