import { type ChildProcess, execFile, fork } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, open, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { DiskAnswer, DiskCommand } from "./messages.ts";

const run = promisify(execFile);

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

/** A mounted filesystem on a disk that forgets what was not flushed when the power goes. */
export interface LossyDisk extends AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string;
  /** Leaves at `image` what a loss of power at this moment leaves; which unflushed sectors stay follows from `seed`. */
  losePower(image: string, seed: number): Promise<DiskAnswer>;
  /** From now on every write and every flush fails with EIO. */
  fail(): Promise<void>;
}

/** Why there can be no lossy disk of this kind here; undefined where there can. */
export async function whyNoDisk(filesystem: Filesystem): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "needs root, to mount a filesystem";
  const maker = makers[filesystem].command[0];
  if (!(await works(maker, ["-V"]))) return `needs ${maker}`;
  if (!(await exists("/dev/fuse"))) return "needs FUSE in the kernel";
  if (!(await works("losetup", ["--find"]))) return "needs a loop device";
  return (await works("unshare", ["--mount", "true"])) ? undefined : "needs the right to mount a filesystem";
}

/** A fresh filesystem on a lossy disk, its files in `directory`. */
export async function openLossyDisk(directory: string, filesystem: Filesystem): Promise<LossyDisk> {
  const { sizeBytes, command } = makers[filesystem];
  const durable = `${directory}/durable.img`;
  const live = `${directory}/live.img`;
  const file = `${directory}/disk`;
  const path = `${directory}/${filesystem}`;
  await Promise.all([makeSparse(durable, sizeBytes), writeFile(file, ""), mkdir(path)]);
  const [maker, ...options] = command;
  await run(maker, [...options, durable]);
  await run("cp", ["--sparse=always", durable, live]);
  const server = fork(fileURLToPath(new URL("./server.ts", import.meta.url)), [durable, live, file]);
  await answerOf(server);
  const device = (await run("losetup", ["--find", "--show", file])).stdout.trim();
  await run("mount", [device, path]);
  return {
    path,
    losePower: (image, seed) => tell(server, { kind: "image", path: image, seed }),
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
