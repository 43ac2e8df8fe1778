import { createHash } from "node:crypto";
import type { Config } from "../config/config.ts";
import { createFilter } from "../engine/filter.ts";
import { pagesOfKeys } from "../engine/listed-keys.ts";
import type { Pages } from "../engine/listing.ts";
import type { PathRules } from "../engine/plan.ts";
import { type Selection, selectSource } from "../engine/select-source.ts";
import { createShare } from "../engine/share.ts";
import { type CopyWork, versionOf } from "../volume/copy-work.ts";
import { directoryMarkerPath, resolvePath } from "../volume/path.ts";
import type { Connection } from "./connect.ts";
import type { RunHost } from "./host.ts";
import { keysIn } from "./key-list.ts";
import type { RunState } from "./state.ts";

/** Keys are looked up with as many HEAD requests at once as the control plane has connections. */
const lookUpsAtOnce = 16;

export interface SelectedSource extends Selection {
  readonly select: (relative: string) => boolean;
  /** Whether an object is this process's. */
  readonly share: (key: string) => boolean;
  /** Whether entries come in key order. */
  readonly sorted: boolean;
}

/** Finds what the configuration selects. Throws CopyError `source` when there is nothing. */
export async function openSource(
  { source }: Config,
  connection: Connection,
  host: RunHost,
  { ledger }: RunState,
): Promise<SelectedSource> {
  const select = createFilter(source.include, source.exclude);
  const share = createShare(source.shard);
  const { path, filesFrom } = source;
  if (filesFrom !== undefined) {
    const prefix = path === "" || path.endsWith("/") ? path : `${path}/`;
    const parts = { ...connection, ledger, concurrency: lookUpsAtOnce, share };
    const pages: Pages = (signal) => pagesOfKeys(keysIn(filesFrom, host), prefix, parts, signal);
    return { kind: "directory", prefix, pages, select, share, sorted: false };
  }
  return { ...(await selectSource(path, source.allowEmpty, connection, host.signal)), select, share, sorted: true };
}

/** Where files are made under their final names: a version names nothing there. */
export const pathRules: PathRules = {
  resolveFile: resolvePath,
  resolveDirectory: directoryMarkerPath,
  versionOf: () => "",
};

/** Where files have a hidden name until they are published. */
export const stagedRules: PathRules = {
  ...pathRules,
  versionOf: ({ key, etag }) => createHash("sha256").update(`${key}\0${etag}`).digest("hex").slice(0, 32),
};

/** The same, with temporary names that tell which copy they belong to. */
export function copyPathRules(work: CopyWork): PathRules {
  return { ...pathRules, versionOf: (entry) => versionOf(work, stagedRules.versionOf(entry)) };
}

/** What to say of a selection without objects. */
export function nothingSelected({ shard }: Config["source"]): string {
  return shard ? `nothing is selected for shard ${shard.index} of ${shard.count}` : "nothing is selected";
}
