import type { Peer } from "../peers/peer.ts";
import type { ScenarioResult } from "../result.ts";

/** What all scenarios share. */
export interface Bench {
  readonly peers: readonly Peer[];
  readonly rounds: number;
  /** Sizes for a smoke test: the numbers mean nothing. */
  readonly quick: boolean;
  /** On the disk that is measured. */
  readonly targetPath: string;
  /** Scratch, and the files that are served. */
  readonly workPath: string;
}

export type Scenario = (bench: Bench) => Promise<ScenarioResult>;
