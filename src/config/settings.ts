import type { Kind } from "./kinds.ts";
import { quote } from "./kinds.ts";
import { type OptionName, optionNames, options } from "./options.ts";
import type { Text } from "./texts.ts";

type ValueOf<N extends OptionName> = (typeof options)[N]["kind"] extends Kind<infer T> ? T : never;

/** What an option resolves to: never undefined where the table has a default. */
export type Value<N extends OptionName> = (typeof options)[N] extends { readonly default: string }
  ? ValueOf<N>
  : ValueOf<N> | undefined;

/** Values by option. One that is wrong reads as its default and is `broken`, so that it is complained of only once. */
export interface Settings {
  get<N extends OptionName>(name: N): Value<N>;
  /** What to call the option in a sentence: as it was given, or as an option. */
  label(name: OptionName): string;
  /** Undefined when it was not given. */
  from(name: OptionName): Text["from"] | undefined;
  broken(name: OptionName): boolean;
}

/** The value of one text; undefined, with a problem, when it is wrong. */
export function parseText<T>(given: Text, kind: Kind<T>, problems: string[]): T | undefined {
  if (given.refused) return undefined;
  const value = kind.parse(given.text);
  if (value === undefined) problems.push(`${given.label} must be ${kind.must}, got ${quote(given.text)}`);
  return value;
}

/** Turns texts into values; each wrong one becomes a problem. */
export function resolveSettings(texts: ReadonlyMap<OptionName, Text>, problems: string[]): Settings {
  const values = new Map<OptionName, unknown>();
  const broken = new Set<OptionName>();
  for (const name of optionNames) {
    const { kind, ...definition } = options[name];
    const given = texts.get(name);
    const value = given === undefined ? undefined : parseText<unknown>(given, kind, problems);
    if (given !== undefined && value === undefined) broken.add(name);
    values.set(name, value ?? ("default" in definition ? kind.parse(definition.default) : undefined));
  }
  return {
    // Each value was made by the kind that the table's type names for this option.
    get: <N extends OptionName>(name: N) => values.get(name) as Value<N>,
    label: (name) => texts.get(name)?.label ?? `--${name}`,
    from: (name) => texts.get(name)?.from,
    broken: (name) => broken.has(name),
  };
}
