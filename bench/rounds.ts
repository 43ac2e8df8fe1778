import type { Sample } from "./result.ts";

/** Somebody who takes part in a scenario. */
export interface Contender {
  readonly name: string;
  run(): Promise<Omit<Sample, "contender" | "round">>;
}

export interface Rounds {
  readonly samples: Sample[];
  readonly notes: string[];
}

/** Everybody once, then everybody again: drift of the machine hits all alike. Who fails is noted and out of the race. */
export async function inRounds(contenders: readonly Contender[], rounds: number): Promise<Rounds> {
  const samples: Sample[] = [];
  const failed = new Map<string, string>();
  for (let round = 1; round <= rounds; round++) {
    for (const { name, run } of contenders) {
      if (failed.has(name)) continue;
      try {
        const sample = { contender: name, round, ...(await run()) };
        samples.push(sample);
        const { wallSeconds, cpuSeconds } = sample;
        console.error(`  ${round} ${name.padEnd(24)} ${wallSeconds.toFixed(2)} s, CPU ${cpuSeconds.toFixed(2)} s`);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        console.error(`  ${round} ${name} FAILED: ${reason}`);
        failed.set(name, reason.replaceAll(/\s+/g, " ").slice(0, 300));
      }
    }
  }
  // A contender that finished only some of the rounds would show a flattering spread.
  const whole = samples.filter(({ contender }) => !failed.has(contender));
  return { samples: whole, notes: [...failed].map(([name, reason]) => `${name} failed: ${reason}`) };
}
