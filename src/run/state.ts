import { DataThreads } from "../data/data-threads.ts";
import { Ledger } from "../engine/ledger.ts";
import { progressOf } from "../observe/progress.ts";
import { Tally } from "../observe/tally.ts";
import type { CopyReport, Counts, DataPlane, Logger, Phase, PlaneStats, Progress } from "../types.ts";
import { RecentSecrets } from "./recent-secrets.ts";
import { ShownProgress } from "./shown-progress.ts";

const nothingYet: PlaneStats = { receivedBytes: 0, writtenBytes: 0, sourceSeconds: 0, diskSeconds: 0, bufferBytes: 0 };

/** What a run has and knows while it lasts, and what is left of it for the report. */
export class RunState {
  readonly tally = new Tally();
  readonly ledger: Ledger;
  /** What came up in this run and must not be shown. */
  readonly secrets = new RecentSecrets();
  readonly shown = new ShownProgress();
  /** They end with the verb. */
  readonly threads = new DataThreads();
  /** Certificates that are trusted besides the usual ones, as PEM. */
  ca: string | undefined;
  phase: Phase = "preparing";
  /** Undefined until the verdict. */
  exitCode: number | undefined;
  sourceDigest: string | undefined;
  durability: CopyReport["durability"] = "none";
  /** When the first attempt at this target began, ISO 8601; undefined when this is the first. */
  firstStartedAt: string | undefined;
  /** The checkpoint that this run went on from, and what earlier ones had copied by then. */
  resumed: { readonly fromMs: number; readonly copied: Counts } | undefined;
  readonly #limitBytesPerSecond: number | undefined;
  #plane: DataPlane | undefined;
  #lastStats = nothingYet;

  constructor(logger: Logger, limitBytesPerSecond: number | undefined) {
    this.ledger = new Ledger(this.tally, logger);
    this.#limitBytesPerSecond = limitBytesPerSecond;
  }

  /** Follows the counters of `plane`; undefined keeps the last ones. */
  watch(plane: DataPlane | undefined): void {
    this.#lastStats = this.stats();
    this.#plane = plane;
  }

  stats(): PlaneStats {
    return this.#plane?.stats() ?? this.#lastStats;
  }

  progress(): Progress {
    const { phase } = this;
    return progressOf({
      phase,
      tally: this.tally.snapshot(),
      stats: this.stats(),
      limitBytesPerSecond: this.#limitBytesPerSecond,
    });
  }
}
