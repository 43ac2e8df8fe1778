import { readdirSync, readFileSync } from "node:fs";
import { createContext, Script } from "node:vm";
import fc from "fast-check";

/** Seconds that each campaign lasts; 0 is a short one, for every test run. `npm run fuzz -- --seconds 60` sets it. */
export const fuzzSeconds = Number(process.env.FUZZ_SECONDS ?? 0);
/** What any input may take on a busy machine; most take well below a millisecond. */
const hangMs = 10_000;

export interface CorpusEntry {
  readonly name: string;
  readonly bytes: Buffer;
}

/** The inputs of `test/fuzz/<folder>`, by name. */
export function readCorpus(folder: string): CorpusEntry[] {
  const url = new URL(`./${folder}/`, import.meta.url);
  return readdirSync(url)
    .sort()
    .map((name) => ({ name, bytes: readFileSync(new URL(name, url)) }));
}

/** Whether an input was taken; whatever else happens to it is thrown. */
export type Judge = (input: Buffer) => "accepted" | "refused";

export interface Campaign {
  readonly name: string;
  readonly inputs: fc.Arbitrary<Buffer>;
  readonly judge: Judge;
  /** Inputs of the short form. */
  readonly runs: number;
}

/** How a campaign went. */
export interface Tally {
  runs: number;
  accepted: number;
  slowestMs: number;
}

/**
 * Judges inputs until they are enough or the time is over. An input that makes the judge throw, or not come back, fails
 * with the smallest form of it.
 */
export function runCampaign({ name, inputs, judge, runs }: Campaign): Tally {
  const tally: Tally = { runs: 0, accepted: 0, slowestMs: 0 };
  const guarded = withinTime(judge);
  const property = fc.property(inputs.map(shown), ({ bytes }) => {
    const startMs = performance.now();
    count(tally, guarded(bytes), performance.now() - startMs);
  });
  fc.assert(property, lengthOf(runs));
  report(name, tally);
  return tally;
}

/** The same for judges that wait; nobody ends one that does not come back but the test's own time-out. */
export async function runSlowCampaign(
  campaign: Omit<Campaign, "judge"> & { readonly judge: (input: Buffer) => Promise<ReturnType<Judge>> },
): Promise<Tally> {
  const { name, inputs, judge, runs } = campaign;
  const tally: Tally = { runs: 0, accepted: 0, slowestMs: 0 };
  const property = fc.asyncProperty(inputs.map(shown), async ({ bytes }) => {
    const startMs = performance.now();
    count(tally, await judge(bytes), performance.now() - startMs);
  });
  await fc.assert(property, lengthOf(runs));
  report(name, tally);
  return tally;
}

/** An input that tells itself in one bounded line when it is the one that failed; base64 to put into the corpus. */
export function shown(bytes: Buffer): { readonly bytes: Buffer } {
  const text = (): string =>
    `${JSON.stringify(bytes.toString("latin1", 0, 400))} (${bytes.length} bytes, base64 ${bytes.toString("base64", 0, 3000)})`;
  return { bytes, [fc.toStringMethod]: text } as { readonly bytes: Buffer };
}

function count(tally: Tally, judged: ReturnType<Judge>, tookMs: number): void {
  tally.runs++;
  if (judged === "accepted") tally.accepted++;
  tally.slowestMs = Math.max(tally.slowestMs, Math.round(tookMs));
}

/** So many runs in a test run, or as many as fit into the time of a campaign. */
export function lengthOf(runs: number): Pick<fc.Parameters, "numRuns"> {
  if (fuzzSeconds === 0) return { numRuns: runs };
  const byTime = { interruptAfterTimeLimit: fuzzSeconds * 1000, markInterruptAsFailure: false };
  return { numRuns: Number.MAX_SAFE_INTEGER, ...byTime };
}

/** Tells how a long campaign went. */
export function report(name: string, tally: object): void {
  if (fuzzSeconds > 0) console.log(`fuzz ${name}: ${JSON.stringify(tally)}`);
}

/** A call that does not come back is ended by the engine's own watchdog, wherever it is. */
function withinTime(judge: Judge): Judge {
  const context = createContext({ judge, input: Buffer.alloc(0) });
  const script = new Script("judge(input)");
  return (input) => {
    context.input = input;
    return script.runInContext(context, { timeout: hangMs });
  };
}
