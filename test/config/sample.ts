import type { Config } from "../../src/config/config.ts";
import { populate } from "./support.ts";

/** What an option accepts and refuses. */
export interface Sample {
  /** Arguments beside the option itself. */
  readonly argv: readonly string[];
  readonly pick: (config: Config) => unknown;
  /** Two texts that are right, each with what it becomes; the second one wins over the first. */
  readonly right: readonly [readonly [string, unknown], readonly [string, unknown]];
  readonly wrong: readonly string[];
}

export const flags = (pick: Sample["pick"], argv: readonly string[] = populate, inverted = false): Sample => ({
  argv,
  pick,
  right: [
    ["false", inverted],
    ["true", !inverted],
  ],
  wrong: ["yes", "TRUE"],
});

/** The arguments of a populate without one of its options. */
export const without = (name: string) => populate.toSpliced(populate.indexOf(name), 2);
