import { setTimeout } from "node:timers/promises";
import { comparePositions } from "../../src/engine/checkpoint-position.ts";
import { checkpointIn, stateName } from "../e2e/support/checkpoint.ts";
import type { CliResult } from "../e2e/support/cli.ts";
import { type Loss, RefetchBook } from "../e2e/support/refetch.ts";
import { bucketName, openScene, type Scene } from "../e2e/support/scene.ts";
import { differencesFrom, pathsIn } from "../e2e/support/tree.ts";
import type { Emulator } from "../emulator/server.ts";

const prefix = "data/";
const kib = 2 ** 10;
const mib = 2 ** 20;
const concurrency = 32;
/** More requests than a scene makes: each must be remembered until its run is accounted for. */
const requestLogLimit = 1_000_000;

/** Objects to copy, slowly enough for kills to meet every phase. */
export interface KillSet {
  readonly name: string;
  fill(emulator: Emulator): void;
  /** Most kills come at one of so many requests for objects; a checkpoint takes 2,000 objects or 5 s. */
  readonly requests: number;
}

function fillSmall(emulator: Emulator, count: number): void {
  emulator.generate({ bucket: bucketName, prefix: "data/small/", count, sizeBytes: { min: 0, max: 900 } });
  emulator.addFaults({ kind: "delay", ms: 15, operation: "get", key: /small/ });
}

function fillLarge(emulator: Emulator, options: { prefix: string; sizeBytes: number; bytesPerSecond: number }): void {
  const { bytesPerSecond, ...set } = options;
  emulator.generate({ bucket: bucketName, count: 2, ...set });
  emulator.addFaults({ kind: "drip", bytesPerSecond, operation: "get", key: /large/ });
}

export const killSets = {
  small: { name: "small", requests: 3_500, fill: (emulator) => fillSmall(emulator, 8_000) },
  large: {
    name: "large",
    requests: 250,
    fill: (emulator) =>
      fillLarge(emulator, { prefix: "data/large/", sizeBytes: 48 * mib + 5, bytesPerSecond: 200_000 }),
  },
  mixed: {
    name: "mixed",
    requests: 3_200,
    fill: (emulator) => {
      fillSmall(emulator, 6_000);
      // They are under way when the first checkpoint is due.
      fillLarge(emulator, { prefix: "data/small/1900-large", sizeBytes: 10 * mib + 5, bytesPerSecond: 1_000_000 });
      const wholes = { min: 0, max: 250 * kib };
      emulator.generate({ bucket: bucketName, prefix: "data/whole/", count: 40, sizeBytes: wholes });
    },
  },
} as const satisfies Record<string, KillSet>;

export interface KillOutcome {
  readonly kills: number;
  /** Runs that were killed before they had saved a checkpoint of their own. */
  readonly withoutCheckpoint: number;
  readonly losses: readonly Loss[];
  /** Everything that is not as it must be, one sentence each. */
  readonly wrong: readonly string[];
}

/**
 * Fills one volume: `kills` runs are killed at random moments, then one runs to its end. Everything must be right then,
 * nothing of ours left, and no run may have lost more than `RefetchBook` allows.
 */
export async function killAndComplete(set: KillSet, kills: number, random: () => number): Promise<KillOutcome> {
  await using scene = await openScene({ requestLogLimit });
  set.fill(scene.emulator);
  const args = ["--concurrency", String(concurrency), "--part-size", "256KiB"];
  const book = new RefetchBook(scene.emulator, scene.target, concurrency);
  const losses: Loss[] = [];
  let withoutCheckpoint = 0;
  let last: CliResult | undefined;
  for (let i = 0; i < kills; i++) {
    const savedAtMs = (await checkpointIn(scene.target))?.savedAtMs;
    last = await killedSoon(scene, args, random, set.requests);
    if (last !== undefined) break;
    losses.push(await book.killed());
    if ((await checkpointIn(scene.target))?.savedAtMs === savedAtMs) withoutCheckpoint++;
    if (i === Math.floor(kills / 2)) await deleteBeyond(scene);
  }
  scene.emulator.clearFaults();
  last ??= await scene.run("populate", args);
  return { kills: losses.length, withoutCheckpoint, losses, wrong: await wrongAtTheEnd(scene, last, book, losses) };
}

/** Every fifth kill, by chance, meets the start of a run, the others its work. What came of a run that was faster. */
async function killedSoon(
  scene: Scene,
  args: readonly string[],
  random: () => number,
  requests: number,
): Promise<CliResult | undefined> {
  const { counters } = scene.emulator;
  const lastGet = counters.get + Math.floor(random() * requests);
  await using run = scene.start("populate", args);
  const { child } = run;
  const runs = (): boolean => child.exitCode === null;
  if (random() < 0.2) await setTimeout(random() * 600);
  else while (runs() && counters.get < lastGet) await setTimeout(5);
  const killed = runs() && child.kill("SIGKILL");
  const result = await run.result;
  return killed ? undefined : result;
}

/** Deletes an object whose file stands beyond the frontier: nobody will list it any more. */
async function deleteBeyond({ emulator, target }: Scene): Promise<void> {
  const frontier = (await checkpointIn(target))?.frontier;
  if (frontier === undefined) return;
  const files = (await pathsIn(target)).filter((path) => !path.endsWith("/") && !path.startsWith(stateName));
  const beyond = files.find((path) => comparePositions(prefix + path, frontier) > 0);
  if (beyond !== undefined) emulator.deleteObject(bucketName, prefix + beyond);
}

async function wrongAtTheEnd(
  scene: Scene,
  last: CliResult,
  book: RefetchBook,
  losses: readonly Loss[],
): Promise<string[]> {
  const wrong = losses.flatMap(({ lostBytes, allowedBytes }, i) =>
    lostBytes <= allowedBytes ? [] : [`kill ${i} lost ${lostBytes} bytes where ${allowedBytes} are allowed`],
  );
  if (last.exitCode !== 0 || !last.report)
    return [...wrong, `the last run ended with ${last.exitCode}: ${last.stderr}`];
  const { objects, bytes } = last.report;
  if (objects.copied + objects.skipped !== objects.listed) wrong.push(`the counts are ${JSON.stringify(objects)}`);
  if (objects.skipped === 0 && objects.resumed !== book.settled) {
    wrong.push(`${objects.resumed} objects are counted as resumed, not ${book.settled}`);
  }
  // Nothing fails any more, so it fetches exactly what is missing. (Skipped are those of a run that was all but over.)
  const needed = objects.skipped > 0 ? 0 : bytes.listed - book.keptBytes;
  if (book.sentBytes !== needed)
    wrong.push(`the last run fetched ${book.sentBytes} bytes where ${needed} were missing`);
  wrong.push(...(await differencesFrom(scene.bucket, scene.target, { prefix })));
  return wrong;
}
