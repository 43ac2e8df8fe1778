import type { Logger, Metrics } from "../../src/types.ts";

export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Counts what the engine tells. */
export class RecordingMetrics implements Metrics {
  readonly requests: string[] = [];
  readonly retries: string[] = [];
  readonly outcomes: string[] = [];
  limitedSeconds = 0;
  open = 0;

  listed(): void {}

  request(operation: string, status: string): void {
    this.requests.push(`${operation} ${status}`);
  }

  retried(kind: string): void {
    this.retries.push(kind);
  }

  limited(seconds: number): void {
    this.limitedSeconds += seconds;
  }

  outcome(outcome: string, bytes: number): void {
    this.outcomes.push(`${outcome} ${bytes}`);
  }

  inFlight(requests: number): void {
    this.open = requests;
  }
}
