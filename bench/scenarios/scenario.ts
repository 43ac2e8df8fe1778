import type { Peer } from "../peers/peer.ts";
import type { ScenarioResult } from "../result.ts";

/** What all scenarios share. */
export interface Bench {
  readonly peers: readonly Peer[];
  readonly rounds: number;
  /** Sizes for a smoke test: the numbers mean nothing. */
  readonly quick: boolean;
  /** On the disk that is measured: scratch, targets, and the files that are served; removed when all is over. */
  readonly workPath: string;
}

export type Scenario = (bench: Bench) => Promise<ScenarioResult>;
