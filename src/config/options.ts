import type { Verb } from "./config.ts";
import type { Option } from "./option.ts";
import { effort, output, target } from "./options-run.ts";
import { credentials, source } from "./options-source.ts";

/** Every option there is; help, variables, checks and suggestions all come from here. */
export const options = { ...source, ...credentials, ...target, ...effort, ...output } as const;

export type OptionName = keyof typeof options;

// The keys of a literal are exactly its type's.
export const optionNames = Object.keys(options) as readonly OptionName[];

export function isOptionName(name: string): name is OptionName {
  return Object.hasOwn(options, name);
}

/** The option as its interface, where the exact type is in the way. */
export function definitionOf(name: OptionName): Option {
  return options[name];
}

export function optionsOf(verb: Verb): readonly OptionName[] {
  return optionNames.filter((name) => definitionOf(name).verbs.includes(verb));
}
