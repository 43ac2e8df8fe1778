import { type ChildProcess, execFile, fork } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, open, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { DiskAnswer, DiskCommand } from "./messages.ts";

export const run = promisify(execFile);

export type Filesystem = "ext4" | "xfs";

/** Without what a test of some megabytes has no use for; mkfs.xfs makes none below 300 MiB. */
const makers = {
  ext4: {
    sizeBytes: 256 * 2 ** 20,
    command: ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
  },
  xfs: { sizeBytes: 320 * 2 ** 20, command: ["mkfs.xfs", "-q", "-f"] },
} as const satisfies Record<
  Filesystem,
  { readonly sizeBytes: number; readonly command: readonly [string, ...string[]] }
>;

/** A mounted filesystem, and what a loss of power would leave of it. */
export interface Disk extends AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string;
  /** Makes an image of what a loss of power at this moment leaves; what unflushed sectors stay follows from `seed`. */
  losePower(name: string, seed: number): Promise<{ readonly path: string; readonly lost: number }>;
}

/** A disk that forgets what was not flushed when the power goes. */
export interface LossyDisk extends Disk {
  /** From now on every write and every flush fails with EIO. */
  fail(): Promise<void>;
}

/** Why there can be no disk of this kind here; undefined where there can. */
export async function whyNoDisk(
  filesystem: Filesystem,
  takes: "unflushed" | "nothing" = "unflushed",
): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "needs root, to mount a filesystem";
  // Images that are copied at one point in time lie on XFS.
  for (const [maker] of [makers[filesystem].command, ...(takes === "nothing" ? [makers.xfs.command] : [])]) {
    if (!(await works(maker, ["-V"]))) return `needs ${maker}`;
  }
  if (takes === "unflushed" && !(await exists("/dev/fuse"))) return "needs FUSE in the kernel";
  if (!(await works("losetup", ["--find"]))) return "needs a loop device";
  return (await works("unshare", ["--mount", "true"])) ? undefined : "needs the right to mount a filesystem";
}

/** A fresh filesystem on a lossy disk, its files in `directory`. */
export async function openLossyDisk(directory: string, filesystem: Filesystem): Promise<LossyDisk> {
  const durable = `${directory}/durable.img`;
  const live = `${directory}/live.img`;
  const file = `${directory}/disk`;
  const path = `${directory}/${filesystem}`;
  await Promise.all([makeFilesystem(durable, filesystem), writeFile(file, ""), mkdir(path)]);
  await run("cp", ["--sparse=always", durable, live]);
  const server = fork(fileURLToPath(new URL("./server.ts", import.meta.url)), [durable, live, file]);
  await answerOf(server);
  const device = (await run("losetup", ["--find", "--show", file])).stdout.trim();
  await run("mount", [device, path]);
  return {
    path,
    losePower: async (name, seed) => {
      const image = `${directory}/${name}.img`;
      const { lost } = await tell(server, { kind: "image", path: image, seed });
      return { path: image, lost };
    },
    fail: async () => {
      await tell(server, { kind: "fail" });
    },
    async [Symbol.asyncDispose]() {
      await unmount(path);
      await run("losetup", ["--detach", device]);
      await unmount(file);
      if (server.exitCode === null) {
        server.kill("SIGKILL");
        await once(server, "exit");
      }
      await Promise.all([durable, live, file].map((each) => rm(each, { force: true })));
    },
  };
}

/** Mounts an image that `losePower` left. */
export async function mountImage(image: string, path: string): Promise<AsyncDisposable & { readonly path: string }> {
  await mkdir(path, { recursive: true });
  // Copies of one filesystem carry one UUID, which XFS mounts only once.
  const options = await run("blkid", ["-o", "value", "-s", "TYPE", image]).then(({ stdout }) =>
    stdout.trim() === "xfs" ? "loop,nouuid" : "loop",
  );
  await run("mount", ["-o", options, image, path]);
  return { path, [Symbol.asyncDispose]: () => unmount(path) };
}

/** A process that was just killed may hold the mount for a moment. */
export async function unmount(path: string): Promise<void> {
  await run("umount", [path]).catch(() => run("umount", ["--lazy", path]));
}

/** Makes a file with an empty filesystem in it. */
export async function makeFilesystem(image: string, filesystem: Filesystem): Promise<void> {
  const { sizeBytes, command } = makers[filesystem];
  const [maker, ...options] = command;
  await makeSparse(image, sizeBytes);
  await run(maker, [...options, image]);
}

export async function makeSparse(path: string, sizeBytes: number): Promise<void> {
  await using file = await open(path, "w");
  await file.truncate(sizeBytes);
}

async function tell(server: ChildProcess, command: DiskCommand): Promise<DiskAnswer> {
  server.send(command);
  return answerOf(server);
}

async function answerOf(server: ChildProcess): Promise<DiskAnswer> {
  const ended = once(server, "exit").then(() => Promise.reject(new Error("the disk's process ended")));
  const [answer] = await Promise.race([once(server, "message"), ended]);
  return answer as DiskAnswer; // server.ts sends nothing else
}

async function works(program: string, args: readonly string[]): Promise<boolean> {
  return run(program, args).then(
    () => true,
    () => false,
  );
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
