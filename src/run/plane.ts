import type { Config, EffortConfig } from "../config/config.ts";
import type { WriterOptions } from "../data/build-plane.ts";
import type { DataThread } from "../data/data-thread.ts";
import type { DataThreads } from "../data/data-threads.ts";
import { ThreadedPlane } from "../data/threaded-plane.ts";
import { largeAtOnce } from "../engine/copying.ts";
import type { DataPlane } from "../types.ts";
import type { DeviceWriterOptions } from "../volume/device-writer.ts";
import type { TargetAbilities } from "../volume/probe.ts";
import type { Connection } from "./connect.ts";

export interface PlaneOptions {
  readonly root: string;
  readonly abilities: TargetAbilities | undefined;
  /** Whether files are synced one by one, for want of a sync of the whole volume. */
  readonly fsyncFiles: boolean;
  /** Whether unfinished large files stay at the end, for another run to go on with. */
  readonly keepsUnfinished: boolean;
  /** `staged`: files get their names only when they are complete, by `publish`. */
  readonly placement: "direct" | "staged";
  /** Whether a file may be published in the place of another. */
  readonly replaces: boolean;
}

const mebibyte = 2 ** 20;

/**
 * Lets data threads come up while target and source are looked at, unless nothing is to be written. The plane may need
 * more of them, once it is known how files are written.
 */
export function startThreads({ dryRun, verb, effort }: Config, threads: DataThreads): void {
  if (!dryRun && verb !== "verify") threads.start(effort.threads);
}

/** The data plane of a run that writes below `root`. */
export function openPlane(
  { target, effort }: Config,
  connection: Connection,
  threads: DataThreads,
  options: PlaneOptions,
): DataPlane {
  const { root, abilities, fsyncFiles, keepsUnfinished, placement, replaces } = options;
  const writer = {
    root,
    placement,
    replaces,
    fileMode: target.fileMode,
    dirMode: target.dirMode,
    uid: target.uid,
    gid: target.gid,
    mtime: target.mtime,
    fsyncFiles,
    runStartedCtimeMs: abilities?.startedCtimeMs,
    io: abilities?.io ?? "buffered",
    dirtyBytes: dirtyBytesOf(effort),
    keepsModes: abilities?.keepsModes,
  } as const;
  const count = writer.io === "memory" ? effort.threadsIntoMemory : effort.threads;
  return openPlaneWith(writer, effort, connection, threads.start(count), { keepsUnfinished });
}

/** The data plane of a run that writes one object to a device. */
export function openDevicePlane(
  { effort }: Config,
  connection: Connection,
  threads: DataThreads,
  writer: Omit<DeviceWriterOptions, "kind">,
): DataPlane {
  const started = threads.start(effort.threads);
  return openPlaneWith({ ...writer, kind: "device" }, effort, connection, started, { keepsUnfinished: true });
}

function openPlaneWith(
  writer: WriterOptions,
  { memoryBytes }: Pick<EffortConfig, "memoryBytes">,
  connection: Connection,
  threads: readonly DataThread[],
  { keepsUnfinished }: { readonly keepsUnfinished: boolean },
): DataPlane {
  return new ThreadedPlane({
    threads,
    signing: connection.session.signing,
    onSigningChange: (listener) => connection.session.onChange(listener),
    setup: {
      transport: connection.dataTransport,
      requests: connection.requestSetup,
      memoryBytes,
      keepsUnfinished,
      writer,
    },
  });
}

/** Dirty bytes of each large file in each thread: together no more than a quarter of the memory limit, or 256 MiB. */
function dirtyBytesOf({ memoryLimitBytes = Number.POSITIVE_INFINITY, threads }: EffortConfig): number {
  const all = Math.min(256 * mebibyte, memoryLimitBytes / 4);
  return Math.max(mebibyte, Math.floor(all / (largeAtOnce * threads)));
}
