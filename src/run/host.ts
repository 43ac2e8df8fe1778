import type { Clock, Logger } from "../types.ts";
import type { RunState } from "./state.ts";

/** What a run needs of the process that it is in. */
export interface RunHost {
  readonly version: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted with an `Interruption` to stop the run. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly isProcess1: boolean;
  readonly readText: (path: string) => Promise<string>;
  /** Text of a file, or of standard input for `-`, line by line. */
  readonly readLines: (source: string) => AsyncIterable<string>;
  readonly resources: () => { readonly cpuSeconds: number; readonly peakRssBytes: number };
  /** Called once, when there is something to watch. */
  readonly onStart: (state: RunState) => Promise<void>;
}
