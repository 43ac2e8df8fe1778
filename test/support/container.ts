import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { ControlGroup } from "./cgroup.ts";

/** What an image says of the processes that are started from it. */
export interface ContainerConfig {
  readonly Entrypoint: readonly string[] | null;
  readonly Cmd: readonly string[] | null;
  readonly Env: readonly string[];
}

/** An unpacked image. */
export interface Image {
  readonly rootfs: string;
  readonly config: ContainerConfig;
  /** Files and directories of this machine that the container sees, read-only, by their path in it. */
  readonly binds?: Readonly<Record<string, string>>;
}

export interface ContainerOptions {
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** User and group; root without. */
  readonly uid?: number;
  /** Supplementary group, as a pod's fsGroup is one. */
  readonly fsGroup?: number;
  /** `default`: those that container runtimes leave to root. */
  readonly capabilities?: "default" | "none";
  /** Directory of this machine that the container sees as `mountPath`. */
  readonly volume?: string;
  /** `/mnt` unless given. */
  readonly mountPath?: string;
  /** False for a root filesystem that can be written. */
  readonly readOnly?: boolean;
  /** File of this machine that the container sees as `/dev/termination-log`. */
  readonly terminationLog?: { readonly file: string; readonly writable: boolean };
  readonly group?: ControlGroup;
  /** File that gets the time at which all is ready for the entrypoint, in nanoseconds since 1970. */
  readonly startedFile?: string;
}

export interface Ended {
  /** 128 and the number of the signal if one killed it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running container; disposing kills it. */
export interface Container extends AsyncDisposable {
  readonly ended: Promise<Ended>;
  /** Process 1, as this machine numbers it. */
  pid(): Promise<number>;
  /** Resolves when standard error contains the text. */
  logged(words: string): Promise<void>;
  /** Sends a signal to process 1. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Ends it as the kubelet does: SIGTERM, and SIGKILL when the grace is over. */
  stop(graceMs?: number): Promise<Ended>;
}

const script = fileURLToPath(new URL("./container.sh", import.meta.url));
const defaultGraceMs = 30_000;
const runtimeDefaults = [
  ...["chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "net_bind_service"],
  ...["net_raw", "sys_chroot", "mknod", "audit_write", "setfcap"],
];

/**
 * Runs the image's entrypoint as process 1 of a PID namespace, in mounts of its own and on the network of this machine.
 * Needs root.
 */
export async function startContainer(image: Image, options: ContainerOptions): Promise<Container> {
  const { args, env = {}, group } = options;
  const { Entrypoint, Cmd, Env } = image.config;
  const scratch = await mkdtemp(join(tmpdir(), "oss-populator-container-"));
  const variables = [...Env, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)];
  const command = [...variables, ...(Entrypoint ?? []), ...(args.length > 0 ? args : (Cmd ?? []))];
  const enter = Object.values(group?.directories ?? {}).map((directory) => `echo $$ >'${directory}/cgroup.procs'; `);
  const isolate = `${enter.join("")}exec unshare --mount --pid --fork --kill-child sh "$@"`;
  const child = spawn("sh", ["-c", isolate, "sh", script, image.rootfs, scratch, ...command], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH, ...mountVariables(image, options), CONTAINER_PRIVILEGES: privileges(options) },
  });
  let log = "";
  child.stderr.on("data", (data: Buffer) => {
    log += data.toString("utf8");
  });
  const ended = endOf(child, text(child.stdout), () => log).finally(() => rm(scratch, { recursive: true }));
  ended.catch(() => {});
  const pid = () => process1Of(child);
  const kill = async (signal: NodeJS.Signals) => {
    process.kill(await pid(), signal);
  };
  return {
    ended,
    pid,
    kill,
    logged: async (words) => {
      while (!log.includes(words)) {
        if (hasEnded(child)) throw new Error(`the container ended without saying ${words}: ${log}`);
        await setTimeout(20);
      }
    },
    stop: async (graceMs = defaultGraceMs) => {
      await kill("SIGTERM");
      const grace = new AbortController();
      const killing = setTimeout(graceMs, undefined, { signal: grace.signal }).then(() => kill("SIGKILL"));
      killing.catch(() => {});
      const result = await ended;
      grace.abort();
      return result;
    },
    async [Symbol.asyncDispose]() {
      // A process that changed its user no longer dies with its parent.
      if (!hasEnded(child)) await kill("SIGKILL").catch(() => {});
      await ended;
    },
  };
}

function mountVariables({ binds = {} }: Image, options: ContainerOptions): Readonly<Record<string, string>> {
  const { volume = "", mountPath = "/mnt", readOnly = true, terminationLog, group, startedFile = "" } = options;
  const pairs = (entries: readonly (readonly [string, string])[]) => entries.map((pair) => pair.join(":")).join(" ");
  return {
    CONTAINER_BINDS: pairs(Object.entries(binds).map(([inside, outside]) => [outside, inside])),
    CONTAINER_GROUPS: pairs(Object.entries(group?.directories ?? {})),
    CONTAINER_VOLUME: volume,
    CONTAINER_MOUNT_PATH: mountPath,
    CONTAINER_STARTED: startedFile,
    CONTAINER_READ_ONLY: readOnly ? "yes" : "no",
    CONTAINER_TERMINATION_LOG: terminationLog?.file ?? "",
    CONTAINER_TERMINATION_LOG_WRITABLE: terminationLog?.writable ? "yes" : "no",
  };
}

function privileges({ uid = 0, fsGroup, capabilities = "default" }: ContainerOptions): string {
  const left = capabilities === "default" ? runtimeDefaults.map((name) => `,+${name}`).join("") : "";
  const groups = fsGroup === undefined ? "--clear-groups" : `--groups=${fsGroup}`;
  const bounds = `--bounding-set=-all${left} --inh-caps=-all`;
  return `--reuid=${uid} --regid=${uid} ${groups} ${bounds} --no-new-privs`;
}

/** The child of `unshare`, which the shell has become. */
async function process1Of(child: ChildProcess): Promise<number> {
  for (;;) {
    if (hasEnded(child)) throw new Error("the container has ended");
    const children = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").catch(() => "");
    if (children.trim() !== "") return Number(children.trim());
    await setTimeout(10);
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** What `unshare` of util-linux 2.38 says instead of passing on that SIGKILL ended its child. */
const killedWords = "unshare: sigprocmask unblock failed: Invalid argument\n";

async function endOf(child: ChildProcess, stdout: Promise<string>, stderr: () => string): Promise<Ended> {
  // The types of an event's arguments are not known.
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  const log = stderr();
  const killedBy = signal ?? (log.endsWith(killedWords) ? "SIGKILL" : undefined);
  const killed = killedBy === undefined ? undefined : 128 + constants.signals[killedBy];
  return { code: killed ?? code ?? Number.NaN, stdout: await stdout, stderr: log.replace(killedWords, "") };
}
