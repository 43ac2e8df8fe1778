import type { Config } from "../config/config.ts";
import { LocalPlane } from "../data/local-plane.ts";
import { Slabs } from "../data/slabs.ts";
import { ObjectReader } from "../oss/object-reader.ts";
import type { DataPlane } from "../types.ts";
import type { TargetAbilities } from "../volume/probe.ts";
import { VolumeWriter } from "../volume/volume-writer.ts";
import type { Connection } from "./connect.ts";

export interface PlaneOptions {
  readonly root: string;
  readonly abilities: TargetAbilities | undefined;
  /** Whether files are synced one by one, for want of a sync of the whole volume. */
  readonly fsyncFiles: boolean;
}

/** The data plane of a run that writes below `root`. Throws CopyError `volume`. */
export function openPlane({ verb, target, effort }: Config, connection: Connection, options: PlaneOptions): DataPlane {
  const { root, abilities, fsyncFiles } = options;
  const writer = new VolumeWriter({
    root,
    placement: verb === "copy" ? "staged" : "direct",
    fileMode: target.fileMode,
    dirMode: target.dirMode,
    uid: target.uid,
    gid: target.gid,
    mtime: target.mtime,
    fsyncFiles,
    runStartedCtimeMs: abilities?.startedCtimeMs,
    directIo: abilities?.directIo ?? false,
  });
  const transport = connection.openTransport();
  const reader = new ObjectReader(transport, connection.builder);
  return new LocalPlane({ transport, reader, slabs: new Slabs(effort.memoryBytes), writer });
}
