import { contradictions, lastTexts, type ScannedArgv } from "./argv.ts";
import type { Verb } from "./config.ts";
import { quote } from "./kinds.ts";
import { nearest, optionOf, suggestion, variableOf } from "./names.ts";
import { definitionOf, isOptionName, type OptionName, optionsOf } from "./options.ts";
import { splitLocation } from "./source-kinds.ts";

/** What someone wrote for an option, and what to call it in a sentence. */
export interface Text {
  readonly text: string;
  readonly label: string;
  readonly from: "option" | "variable" | "spec";
  /** There is a problem about it already, or about what may have been meant for it; its text says nothing. */
  readonly refused?: true;
}

export interface Remarks {
  readonly problems: string[];
  readonly warnings: string[];
}

export type Environment = Readonly<Record<string, string | undefined>>;

const wordOfSecret = /(^|-)(ak|sk|access-?key|secret|password|security-?token|sts-?token)(-|$)/i;
const howToGiveSecrets =
  "secrets are never options; set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET (and ALIBABA_CLOUD_SECURITY_TOKEN) in the environment";

/** What options, variables and positional arguments say, by option; the first of these wins. */
export function collectTexts(scan: ScannedArgv, verb: Verb, env: Environment, remarks: Remarks): Map<OptionName, Text> {
  const texts = new Map<OptionName, Text>();
  for (const [name, text] of variables(verb, env, remarks)) {
    texts.set(name, { text, label: variableOf(name), from: "variable" });
  }
  judgeOptions(scan, verb, remarks);
  for (const { name } of scan.given) texts.set(name, refused(`--${name}`));
  for (const [name, text] of lastTexts(scan)) texts.set(name, { text, label: `--${name}`, from: "option" });
  // The value of a misspelt option looks like a positional argument, and the option may be one that is missing.
  if (scan.unknown.length === 0) takePositionals(scan.positionals, verb, texts, remarks);
  else refuseMissing(["bucket", "region", "target"], texts);
  return texts;
}

/** Keeps options that are not given from being called missing. */
export function refuseMissing(names: readonly OptionName[], texts: Map<OptionName, Text>): void {
  for (const name of names) if (!texts.has(name)) texts.set(name, refused(`--${name}`));
}

function refused(label: string): Text {
  return { text: "", label, from: "option", refused: true };
}

function judgeOptions(scan: ScannedArgv, verb: Verb, { problems }: Remarks): void {
  const known = optionsOf(verb);
  for (const option of scan.unknown) problems.push(unknownOption(option, known));
  for (const name of new Set(scan.given.map((entry) => entry.name))) {
    if (!known.includes(name)) problems.push(`--${name} is of no use to ${verb}; ${usefulTo(name)}`);
  }
  for (const { name, text } of scan.given) {
    if (text !== undefined) continue;
    const { placeholder } = definitionOf(name).kind;
    problems.push(`--${name} needs a value (${placeholder}); one that begins with -- is written --${name}=VALUE`);
  }
  for (const name of contradictions(scan)) problems.push(`--${name} is given more than once, with different values`);
}

/** The sentence for an option that is none of `known`; it never repeats a value. */
export function unknownOption(option: string, known: readonly OptionName[]): string {
  const name = option.replace(/^-+/, "");
  if (wordOfSecret.test(name)) return `unknown option ${option}; ${howToGiveSecrets}`;
  return `unknown option ${option}${suggestion(name, known, "--")}`;
}

function usefulTo(name: OptionName): string {
  if (name === "bucket" || name === "path") return "its source is the argument oss://BUCKET/PATH";
  if (name === "target") return "its target is the second argument";
  return `only ${definitionOf(name).verbs.join(" and ")} can use it`;
}

function variables(verb: Verb, env: Environment, { warnings }: Remarks): readonly (readonly [OptionName, string])[] {
  const known = optionsOf(verb);
  const found: [OptionName, string][] = [];
  for (const [variable, text] of Object.entries(env)) {
    const name = optionOf(variable);
    if (name === undefined || text === undefined || text === "") continue;
    if (isOptionName(name) && variable === variableOf(name)) {
      if (known.includes(name)) found.push([name, text]);
      else warnings.push(`${variable} is ignored: ${verb} has no use for it`);
      continue;
    }
    const meant = nearest(name, known);
    const hint = meant === undefined ? "" : `; did you mean ${variableOf(meant)}?`;
    warnings.push(`${variable} is no variable of ours${hint}`);
  }
  return found;
}

function takePositionals(
  positionals: readonly string[],
  verb: Verb,
  texts: Map<OptionName, Text>,
  { problems }: Remarks,
): void {
  if (verb === "populate") {
    for (const extra of positionals) problems.push(`unexpected argument ${quote(extra)}: populate takes options only`);
    return;
  }
  const last = verb === "copy" ? "TARGET" : "DIR";
  const [location, directory, ...extras] = positionals;
  for (const extra of extras) {
    problems.push(`unexpected argument ${quote(extra)}: ${verb} takes oss://BUCKET/PATH and ${last}`);
  }
  refuseMissing(["bucket", "target"], texts);
  if (location === undefined) problems.push(`the source is missing: ${verb} oss://BUCKET/PATH ${last}`);
  else takeLocation(location, texts, problems);
  if (directory !== undefined) texts.set("target", { text: directory, label: last, from: "option" });
  else problems.push(`${last} is missing: ${verb} oss://BUCKET/PATH ${last}`);
}

function takeLocation(location: string, texts: Map<OptionName, Text>, problems: string[]): void {
  const parts = splitLocation(location);
  if (parts === undefined) {
    problems.push(`the source must be oss://BUCKET/PATH, got ${quote(location)}`);
    return;
  }
  texts.set("bucket", { text: parts.bucket, label: "BUCKET of oss://BUCKET/PATH", from: "option" });
  texts.set("path", { text: parts.path, label: "PATH of oss://BUCKET/PATH", from: "option" });
}
