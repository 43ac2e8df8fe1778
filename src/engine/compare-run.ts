import type { SafePath } from "../types.ts";
import type { Ledger } from "./ledger.ts";
import { type PathRules, Planner } from "./plan.ts";
import type { Selection } from "./select-source.ts";
import { SourceDigest } from "./source-digest.ts";

/** Collects whether files stand where a listing says, with its sizes and times. */
export interface Comparison {
  check(path: SafePath, sizeBytes: number, modifiedMs: number): Promise<void>;
  /** Whether a difference was found, so that the rest need not be looked at. */
  readonly different: boolean;
}

export interface CompareParts {
  readonly rules: PathRules;
  readonly ledger: Ledger;
  readonly comparison: Comparison;
}

/** Shows every selected file to the comparison, and counts all objects as skipped; writes and fetches nothing. */
export async function compareAll(
  source: Selection & { readonly select: (relative: string) => boolean; readonly sorted: boolean },
  { rules, ledger, comparison }: CompareParts,
  signal: AbortSignal,
): Promise<{ readonly sourceDigest: string }> {
  const planner = new Planner(source.prefix, rules, source.sorted);
  const digest = new SourceDigest();
  for await (const { entries } of source.pages) {
    signal.throwIfAborted();
    const selected = entries.filter(({ key }) => source.select(key.slice(source.prefix.length)));
    ledger.listed(selected);
    const checks = selected.map(async (entry) => {
      digest.add(entry);
      const planned = planner.plan(entry);
      if (planned.status === "task" && planned.task.kind === "file") {
        const { path, sizeBytes, modifiedMs } = planned.task.target;
        await comparison.check(path, sizeBytes, modifiedMs);
      }
      ledger.skipped(entry, "in place");
    });
    await Promise.all(checks);
    if (comparison.different) break;
  }
  ledger.listingEnded();
  return { sourceDigest: digest.finish() };
}
