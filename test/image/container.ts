import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout } from "node:timers/promises";
import type { ImageConfig } from "./docker-archive.ts";

/** An unpacked image. */
export interface Image {
  readonly rootfs: string;
  readonly config: ImageConfig;
}

export interface ContainerOptions {
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** User and group; root without. */
  readonly uid?: number;
  /** Directory of this machine that the container sees as `/mnt`. */
  readonly volume?: string;
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running container; disposing kills it. */
export interface Container extends AsyncDisposable {
  readonly ended: Promise<Ended>;
  /** Resolves when standard error contains the text. */
  logged(words: string): Promise<void>;
  /** Sends a signal to process 1. */
  kill(signal: NodeJS.Signals): Promise<void>;
}

// An overlay without an upper layer is a root filesystem that nobody can write, with a device number of its own.
const script = `
set -e
rootfs=$1 scratch=$2 volume=$3 user=$4
shift 4
PATH=$PATH:/usr/sbin:/sbin
mount --make-rprivate /
mount -t tmpfs tmpfs "$scratch"
mkdir "$scratch/empty" "$scratch/root"
mount -t overlay overlay -o "lowerdir=$scratch/empty:$rootfs" "$scratch/root"
mount -t proc proc "$scratch/root/proc"
mount --rbind /dev "$scratch/root/dev"
[ -z "$volume" ] || mount --bind "$volume" "$scratch/root/mnt"
exec chroot --userspec="$user" --groups= "$scratch/root" /usr/bin/env -i "$@"
`;

/**
 * Runs the image's entrypoint as process 1 of a PID namespace, on a read-only root filesystem and the network of this
 * machine. Needs root.
 */
export async function startContainer({ rootfs, config }: Image, options: ContainerOptions): Promise<Container> {
  const { args, env = {}, uid = 0, volume = "" } = options;
  const scratch = await mkdtemp(join(tmpdir(), "oss-populator-container-"));
  const variables = [...config.Env, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)];
  const command = [...variables, ...(config.Entrypoint ?? []), ...(args.length > 0 ? args : (config.Cmd ?? []))];
  const isolate = ["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh"];
  const child = spawn("unshare", [...isolate, rootfs, scratch, volume, `${uid}:${uid}`, ...command], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (data: Buffer) => {
    log += data.toString("utf8");
  });
  const ended = endOf(child, text(child.stdout), () => log).finally(() => rm(scratch, { recursive: true }));
  ended.catch(() => {});
  return {
    ended,
    async logged(words) {
      while (!log.includes(words)) {
        if (child.exitCode !== null) throw new Error(`the container ended without saying ${words}: ${log}`);
        await setTimeout(20);
      }
    },
    async kill(signal) {
      const children = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, "utf8");
      process.kill(Number(children.trim()), signal);
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

async function endOf(child: ChildProcess, stdout: Promise<string>, stderr: () => string): Promise<Ended> {
  const [code] = await once(child, "close");
  return { code, stdout: await stdout, stderr: stderr() };
}
