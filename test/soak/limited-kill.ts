import type { CheckpointState } from "../../src/engine/checkpoint.ts";
import { checkpointIn, keptBytes } from "../e2e/support/checkpoint.ts";
import { bucketName, openScene, type Scene } from "../e2e/support/scene.ts";
import { differencesFrom } from "../e2e/support/tree.ts";
import { until } from "../e2e/support/waiting.ts";

const prefix = "data/";
/** Three seconds at the limit: a checkpoint is due every 256 MiB, and takes its time. */
const lossSeconds = 3;

export interface LimitedKill {
  readonly objects: number;
  readonly sizeBytes: number;
  /** As `--throughput` takes it. */
  readonly limitMbps: number;
  /** When so much was sent, the run is killed. */
  readonly killAtBytes: number;
  /** Whether the next run goes to its end; otherwise it is stopped when it has fetched a little. */
  readonly complete: boolean;
}

export interface LimitedOutcome {
  readonly sentBytes: number;
  /** Of what was sent, what the next run fetches again. */
  readonly againBytes: number;
  readonly wrong: readonly string[];
}

/** Kills a run under a limit in the middle of its work; the next one may fetch three seconds' worth again. */
export async function killUnderLimit(kill: LimitedKill): Promise<LimitedOutcome> {
  const { objects, sizeBytes, limitMbps, killAtBytes } = kill;
  const patienceMs = 60_000 + Math.ceil((3000 * objects * sizeBytes) / (limitMbps * 1e6));
  await using scene = await openScene({ requestLogLimit: 1_000_000 });
  const { emulator, target } = scene;
  emulator.generate({ bucket: bucketName, prefix, count: objects, sizeBytes, perDirectory: 1000 });
  {
    await using run = scene.start("populate", ["--throughput", String(limitMbps)], { patienceMs });
    await until("its middle", () => emulator.counters.objectBytesSent >= killAtBytes, patienceMs);
    run.child.kill("SIGKILL");
    await run.result;
  }
  await until("silence", () => emulator.counters.openConnections === 0);
  const sentBytes = emulator.counters.objectBytesSent;
  const checkpoint = await checkpointIn(target);
  const againBytes = sentBytes - keptBytes(checkpoint);
  const mostBytes = lossSeconds * limitMbps * 1e6;
  const wrong = kill.complete
    ? await completed(scene, checkpoint, patienceMs)
    : await continued(scene, checkpoint, patienceMs);
  if (againBytes > mostBytes) wrong.push(`${againBytes} bytes are fetched again, more than ${mostBytes}`);
  return { sentBytes, againBytes, wrong };
}

async function completed(scene: Scene, checkpoint: CheckpointState | undefined, patienceMs: number): Promise<string[]> {
  const { counters } = scene.emulator;
  const before = counters.objectBytesSent;
  const last = await scene.run("populate", [], { patienceMs });
  if (last.exitCode !== 0) return [`the next run ended with ${last.exitCode}: ${last.report?.reason}`];
  const wrong = await differencesFrom(scene.bucket, scene.target, { prefix });
  const missing = (last.report?.bytes.listed ?? 0) - keptBytes(checkpoint);
  const fetched = counters.objectBytesSent - before;
  if (fetched !== missing) wrong.push(`the next run fetched ${fetched} bytes where ${missing} were missing`);
  return wrong;
}

/** Whether a run asks for nothing that the checkpoint vouches for. */
async function continued(scene: Scene, checkpoint: CheckpointState | undefined, patienceMs: number): Promise<string[]> {
  const { emulator } = scene;
  const before = emulator.counters.objectBytesSent;
  const seen = emulator.requests.length;
  await using run = scene.start("populate", [], { patienceMs });
  await until("some bytes", () => emulator.counters.objectBytesSent > before + 100e6, patienceMs);
  run.child.kill("SIGKILL");
  await run.result;
  const extents = new Map(checkpoint?.open.map((open) => [open.entry.key, open.extents]));
  return emulator.requests.slice(seen).flatMap(({ operation, key, headers }) => {
    if (operation !== "get") return [];
    const [first = 0, last = 0] = (/^bytes=(\d+)-(\d+)$/.exec(String(headers.range))?.slice(1) ?? []).map(Number);
    const twice = extents.get(key)?.some(({ start, length }) => first < start + length && last >= start);
    return twice ? [`bytes ${first} to ${last} of ${key} were asked for again`] : [];
  });
}
