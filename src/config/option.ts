import type { Verb } from "./config.ts";
import type { Kind } from "./kinds.ts";

export const groups = ["Source", "Credentials", "Target", "Limits and effort", "Output"] as const;

export interface Option {
  readonly group: (typeof groups)[number];
  /** The verbs that have a use for it. */
  readonly verbs: readonly Verb[];
  readonly kind: Kind<unknown>;
  readonly help: string;
  /** Of no use where the target is a block device, which takes one object and has no names, owners or modes. */
  readonly directoryOnly?: true;
  /** Text that stands in when nothing is given. */
  readonly default?: string;
  /** Said of the default in the help, when it depends on more than the option itself. */
  readonly defaultNote?: string | Readonly<Partial<Record<Verb, string>>>;
}

export const every: readonly Verb[] = ["populate", "copy", "verify"];
export const writing: readonly Verb[] = ["populate", "copy"];
export const populate: readonly Verb[] = ["populate"];
export const copy: readonly Verb[] = ["copy"];
