import type { SettledCounts } from "./checkpoint.ts";
import { comparePositions, type Position } from "./checkpoint-position.ts";
import type { Settled } from "./open-list-object.ts";

const mostGroups = 20_000;

/** Counts that are being added to. */
export type Tallies = { -readonly [K in keyof SettledCounts]: { -readonly [F in keyof SettledCounts[K]]: number } };

/** Counts of their own that begin where `from` is, or at zero. */
export function talliesFrom(from: SettledCounts | undefined): Tallies {
  return {
    copied: from ? { ...from.copied } : { objects: 0, bytes: 0 },
    skipped: from ? { ...from.skipped } : { objects: 0, bytes: 0 },
    verified: from ? { ...from.verified } : { crc64: 0, md5: 0, lengthOnly: 0 },
  };
}

/** One more object. */
export function tally(counts: Tallies, settled: Settled): void {
  if (settled.outcome === "dropped") return;
  const of = counts[settled.outcome];
  of.objects++;
  of.bytes += settled.bytes;
  if (settled.outcome === "copied" && settled.verification) counts.verified[settled.verification]++;
}

interface Group {
  readonly upTo: Position;
  readonly counts: Tallies;
}

/**
 * What planning settled beyond the frontier: a run that resumes at the frontier plans it again, so it counts only once
 * the frontier has passed it. Bounded: of very many, neighbours count together when the last of them is passed.
 */
export class SettledAhead {
  #groups: Group[] = [];

  add(position: Position, settled: Settled): void {
    const counts = talliesFrom(undefined);
    tally(counts, settled);
    this.#groups.push({ upTo: position, counts });
  }

  /** Moves what the frontier has passed into `counts`. */
  moveTo(counts: Tallies, frontier: Position | undefined): void {
    const isPassed = ({ upTo }: Group): boolean => frontier !== undefined && comparePositions(upTo, frontier) <= 0;
    for (const group of this.#groups) if (isPassed(group)) addAll(counts, group.counts);
    this.#groups = this.#groups.filter((group) => !isPassed(group));
  }

  get full(): boolean {
    return this.#groups.length >= mostGroups;
  }

  /** Half as many groups. */
  thin(): void {
    const sorted = this.#groups.toSorted((a, b) => comparePositions(a.upTo, b.upTo));
    this.#groups = sorted.filter((group, index) => {
      const next = index % 2 === 0 ? sorted[index + 1] : undefined;
      if (next) addAll(next.counts, group.counts);
      return next === undefined;
    });
  }
}

function addAll(counts: Tallies, { copied, skipped, verified }: Tallies): void {
  counts.copied.objects += copied.objects;
  counts.copied.bytes += copied.bytes;
  counts.skipped.objects += skipped.objects;
  counts.skipped.bytes += skipped.bytes;
  counts.verified.crc64 += verified.crc64;
  counts.verified.md5 += verified.md5;
  counts.verified.lengthOnly += verified.lengthOnly;
}
