import type { CopyError } from "../errors.ts";
import type { ObjectEntry, SafePath } from "../types.ts";
import { ArchiveAccess } from "./archive.ts";
import { type LookUpParts, servedVersions } from "./current-version.ts";
import type { Ledger } from "./ledger.ts";
import { archived, type PathRules, Planner } from "./plan.ts";
import type { Selection } from "./select-source.ts";
import { SourceDigest } from "./source-digest.ts";

/** Collects whether files stand where a listing says, with its sizes and times. */
export interface Comparison {
  check(path: SafePath, sizeBytes: number, modifiedMs: number): Promise<void>;
  /** Whether nothing stands there; that by itself is no difference. */
  lacks(path: SafePath): Promise<boolean>;
  /** Whether a difference was found, so that the rest need not be looked at. */
  readonly different: boolean;
}

export interface CompareParts extends LookUpParts {
  readonly rules: PathRules;
  readonly ledger: Ledger;
  readonly comparison: Comparison;
  readonly unsupported: "fail" | "skip";
}

/**
 * Shows every selected file to the comparison, and counts what it is shown as skipped; writes and fetches nothing. What
 * cannot be a file is in no volume: it fails, or is skipped, as it would in a copy.
 */
export async function compareAll(
  source: Selection & { readonly select: (relative: string) => boolean; readonly sorted: boolean },
  parts: CompareParts,
  signal: AbortSignal,
): Promise<{ readonly sourceDigest: string }> {
  const { rules, ledger, comparison } = parts;
  const planner = new Planner(source.prefix, rules, source.sorted);
  const archive = new ArchiveAccess(parts);
  const digest = new SourceDigest();
  for await (const { entries } of source.pages(signal)) {
    const selected = entries.filter(({ key }) => source.select(key.slice(source.prefix.length)));
    for (const entry of selected) digest.add(entry);
    const served = await servedVersions(selected, parts, signal);
    ledger.listed(served.map(({ entry }) => entry));
    const checks = served.map(async (each) => {
      const planned = each.status === "lost" ? each : planner.plan(each.entry);
      if ("error" in planned) return refused(planned.entry, planned.error, parts);
      if (planned.status === "task" && planned.task.kind === "file") {
        const { path, sizeBytes, modifiedMs } = planned.task.target;
        const isLeftOut = (await archive.refuses(each.entry, signal)) && (await comparison.lacks(path));
        if (isLeftOut) return refused(each.entry, archived(each.entry), parts);
        await comparison.check(path, sizeBytes, modifiedMs);
      }
      ledger.skipped(each.entry, "in place");
    });
    const failed = (await Promise.allSettled(checks)).find(({ status }) => status === "rejected");
    if (failed?.status === "rejected") throw failed.reason;
    signal.throwIfAborted();
    if (comparison.different) break;
  }
  ledger.listingEnded();
  return { sourceDigest: digest.finish() };
}

function refused(entry: ObjectEntry, error: CopyError, { ledger, unsupported }: CompareParts): void {
  if (unsupported === "skip" && error.kind === "unsupported") ledger.skipped(entry, error.message);
  else ledger.failed(entry, error);
}
