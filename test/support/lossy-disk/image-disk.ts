import { mkdir, rm } from "node:fs/promises";
import { type Disk, type Filesystem, makeFilesystem, makeSparse, run, unmount } from "./disk.ts";

/** Room for an image of 320 MiB and what copies of it do not share with it. */
const storeBytes = 2 * 2 ** 30;

/**
 * A fresh filesystem in an image that lies on XFS, which copies a file at one point in time: a loss of power leaves all
 * that was written until then, flushed or not.
 */
export async function openImageDisk(directory: string, filesystem: Filesystem): Promise<Disk> {
  const store = `${directory}/store`;
  const path = `${directory}/${filesystem}`;
  const image = `${store}/image`;
  await Promise.all([mkdir(store), mkdir(path)]);
  await makeSparse(`${store}.img`, storeBytes);
  await run("mkfs.xfs", ["-q", "-f", "-m", "reflink=1", `${store}.img`]);
  await run("mount", ["-o", "loop", `${store}.img`, store]);
  await makeFilesystem(image, filesystem);
  await run("mount", ["-o", "loop", image, path]);
  return {
    path,
    losePower: async (name) => {
      const copy = `${store}/${name}`;
      await run("cp", ["--reflink=always", image, copy]);
      return { path: copy, lost: 0 };
    },
    async [Symbol.asyncDispose]() {
      await unmount(path);
      await unmount(store);
      await rm(`${store}.img`, { force: true });
    },
  };
}
