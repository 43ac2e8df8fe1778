import { seededRandom } from "./fake-clock.ts";

/** Seconds that each long form lasts; 0 is the short form of every test run. `SOAK_SECONDS=60 vitest run …` sets it. */
export const soakSeconds = Number(process.env.SOAK_SECONDS ?? 0);

/** A test's own limit: what is left for the work that is under way when the time is over. */
export const soakTimeout = 120_000 + 2000 * soakSeconds;

/** Chance for one round; seeds that follow each other give nothing alike. */
export function chanceOf(seed: number): () => number {
  const random = seededRandom(seed * 104_729);
  random();
  return random;
}

/** As many rounds as the short form has, or as fit into the time of a long one; each gets a seed of its own. */
export async function inRounds(short: number, round: (seed: number) => Promise<void>): Promise<number> {
  const endsAtMs = performance.now() + soakSeconds * 1000;
  const firstSeed = soakSeconds > 0 ? Date.now() % 1_000_000_000 : 1;
  let rounds = 0;
  while (soakSeconds > 0 ? performance.now() < endsAtMs : rounds < short) {
    const seed = firstSeed + rounds++;
    try {
      await round(seed);
    } catch (error) {
      throw new Error(`round ${rounds} failed, seed ${seed}: ${String(error)}`, { cause: error });
    }
  }
  if (soakSeconds > 0) console.log(`${rounds} rounds in ${soakSeconds} s from seed ${firstSeed}`);
  return rounds;
}
