import { execFile } from "node:child_process";
import { mkdir, open, rm } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A filesystem of the test's own, unmounted on disposal. */
export interface Mount extends AsyncDisposable {
  readonly path: string;
}

/** A fresh ext4 on a sparse file in `directory`, with its `lost+found`; undefined where mounting is not permitted. */
export async function mountExt4(
  directory: string,
  sizeBytes: number,
  ...mkfsArgs: readonly string[]
): Promise<Mount | undefined> {
  const image = `${directory}/ext4.img`;
  {
    await using file = await open(image, "w");
    await file.truncate(sizeBytes);
  }
  await run("mkfs.ext4", ["-q", "-F", "-E", "lazy_itable_init=0", ...mkfsArgs, image]);
  return mounted(`${directory}/ext4`, ["-o", "loop", image], image);
}

/** A fresh tmpfs with these mount options, such as `size=1m,nr_inodes=20`; undefined where mounting is not permitted. */
export async function mountTmpfs(directory: string, options: string): Promise<Mount | undefined> {
  return mounted(`${directory}/tmpfs`, ["-t", "tmpfs", "-o", options, "tmpfs"]);
}

/** A fresh btrfs with a quota for all of it; undefined where there is none, or mounting is not permitted. */
export async function mountWithQuota(directory: string, quotaBytes: number): Promise<QuotaMount | undefined> {
  const image = `${directory}/btrfs.img`;
  {
    await using file = await open(image, "w");
    await file.truncate(256 * 2 ** 20);
  }
  try {
    await run("mkfs.btrfs", ["-q", image]);
  } catch {
    return undefined;
  }
  const mount = await mounted(`${directory}/btrfs`, ["-o", "loop", image], image);
  if (mount === undefined) return undefined;
  const allow = async (bytes: number): Promise<void> =>
    void (await run("btrfs", ["qgroup", "limit", String(bytes), mount.path]));
  await run("btrfs", ["quota", "enable", mount.path]);
  await allow(quotaBytes);
  return { ...mount, allow };
}

export interface QuotaMount extends Mount {
  /** Sets another limit. */
  allow(bytes: number): Promise<void>;
}

/** A fresh overlay on a tmpfs, which is no filesystem to be synced as a whole; undefined where mounting is not permitted. */
export async function mountOverlay(directory: string): Promise<Mount | undefined> {
  const memory = await mountTmpfs(directory, "mode=0755");
  if (memory === undefined) return undefined;
  for (const name of ["lower", "upper", "work"]) await mkdir(`${memory.path}/${name}`);
  const layers = `lowerdir=${memory.path}/lower,upperdir=${memory.path}/upper,workdir=${memory.path}/work`;
  const overlay = await mounted(`${directory}/overlay`, ["-t", "overlay", "-o", layers, "overlay"]);
  if (overlay === undefined) await memory[Symbol.asyncDispose]();
  return (
    overlay && {
      path: overlay.path,
      async [Symbol.asyncDispose]() {
        await overlay[Symbol.asyncDispose]();
        await memory[Symbol.asyncDispose]();
      },
    }
  );
}

export async function remountReadOnly({ path }: Mount): Promise<void> {
  await run("mount", ["-o", "remount,ro", path]);
}

async function mounted(path: string, args: readonly string[], image?: string): Promise<Mount | undefined> {
  await mkdir(path, { recursive: true });
  try {
    await run("mount", [...args, path]);
  } catch {
    return undefined;
  }
  return {
    path,
    async [Symbol.asyncDispose]() {
      // A process that was just killed may hold the mount for a moment.
      await run("umount", [path]).catch(() => run("umount", ["--lazy", path]));
      if (image !== undefined) await rm(image, { force: true });
    },
  };
}

/** What a skipped test says. */
export const notMounted = "needs the right to mount a filesystem";
