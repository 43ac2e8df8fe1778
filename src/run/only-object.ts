import { servedVersions } from "../engine/current-version.ts";
import { CopyError } from "../errors.ts";
import type { ObjectEntry } from "../types.ts";
import type { Connection } from "./connect.ts";
import type { SelectedSource } from "./source.ts";

/** The one object of a source. */
export interface OnlyObject {
  readonly listed: ObjectEntry;
  /** As a GET would find it: for a symlink, what it leads to. */
  readonly entry: ObjectEntry;
}

/** The object that is to be on the device at `path`. Throws CopyError `volume` unless the source is exactly one. */
export async function onlyObject(
  path: string,
  source: SelectedSource,
  connection: Connection,
  signal: AbortSignal,
): Promise<OnlyObject> {
  if (source.kind !== "object") {
    const given = source.prefix === "" ? "the whole bucket" : JSON.stringify(source.prefix);
    throw new CopyError("volume", `the device ${path} takes exactly one object, and ${given} is a directory (--path)`);
  }
  for await (const { entries } of source.pages(signal)) {
    const [listed] = entries;
    const [served] = await servedVersions(entries, connection, signal);
    if (served?.status === "lost") throw served.error;
    if (listed && served) return { listed, entry: served.entry };
  }
  throw new Error("a source of one object has none");
}
