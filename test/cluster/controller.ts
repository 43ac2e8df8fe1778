import { setTimeout } from "node:timers/promises";
import type { CliResult, CliRun, LogLine } from "../e2e/support/cli.ts";

/** A pod of the simulation: a process, and what the API server says of it. */
export interface Pod {
  readonly attempt: number;
  readonly run: CliRun;
  readonly startedMs: number;
}

/** How a pod of the loop ended, as somebody who kept all logs would know. */
export interface Attempt {
  readonly exitCode: number | null;
  readonly lines: readonly LogLine[];
  readonly startedMs: number;
}

export interface LoopOptions {
  /** Starts a worker on the volume; always the same. */
  readonly start: () => CliRun;
  /** Called for every pod that is created; may end it, as an eviction does, through `disturb`. */
  readonly disturb?: (pod: Pod, disturbance: Disturbance) => Promise<void>;
  readonly mostAttempts: number;
}

/** What happens to pods in a cluster. */
export interface Disturbance {
  /** A drain or an eviction: SIGTERM, and SIGKILL when the grace is over. */
  evict(graceMs: number): Promise<void>;
  /** Memory ran out, or the node was lost. */
  kill(): Promise<void>;
  /** `kubectl delete --force`: the API server forgets the pod at once, while its process lives on until then. */
  forget(livesOnUntil: Promise<unknown>): void;
}

export interface Loop {
  readonly attempts: readonly Attempt[];
  /** Whether a pod succeeded: then the volume belongs to the user. */
  readonly published: boolean;
}

/** What the stock library takes from one attempt to the next at least, of 2 s in all. */
const betweenMs = 50;

/**
 * The loop of lib-volume-populator: creates a pod, watches it, publishes the volume when it has succeeded, and otherwise
 * deletes it at once and creates the next one on the same volume. The exit code 0 is all that it looks at.
 */
export async function runLoop({ start, disturb, mostAttempts }: LoopOptions): Promise<Loop> {
  const attempts: Attempt[] = [];
  const leftBehind: Promise<void>[] = [];
  try {
    while (attempts.length < mostAttempts) {
      const run = start();
      const pod: Pod = { attempt: attempts.length + 1, run, startedMs: performance.now() };
      const forgotten = Promise.withResolvers<"forgotten">();
      const disturbing = disturb?.(pod, {
        evict: (graceMs) => evict(run, graceMs),
        kill: async () => {
          run.child.kill("SIGKILL");
        },
        forget: (livesOnUntil) => {
          leftBehind.push(endAfter(run, livesOnUntil));
          forgotten.resolve("forgotten");
        },
      });
      const ended = await Promise.race([run.result, forgotten.promise]);
      await disturbing;
      attempts.push(attemptOf(ended === "forgotten" ? undefined : ended, pod));
      if (ended !== "forgotten" && ended.exitCode === 0) return { attempts, published: true };
      await setTimeout(betweenMs);
    }
    return { attempts, published: false };
  } finally {
    await Promise.all(leftBehind);
  }
}

function attemptOf(ended: CliResult | undefined, { startedMs }: Pod): Attempt {
  return { exitCode: ended?.exitCode ?? null, lines: ended?.lines ?? [], startedMs };
}

async function evict(run: CliRun, graceMs: number): Promise<void> {
  run.child.kill("SIGTERM");
  const timer = new AbortController();
  const killing = setTimeout(graceMs, undefined, { signal: timer.signal }).then(() => run.child.kill("SIGKILL"));
  killing.catch(() => {});
  await run.result;
  timer.abort();
}

async function endAfter(run: CliRun, livesOnUntil: Promise<unknown>): Promise<void> {
  await livesOnUntil;
  run.child.kill("SIGKILL");
  await run.result;
}
