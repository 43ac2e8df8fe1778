import { isOptionName, type OptionName, optionNames, options } from "./options.ts";

export interface ScannedArgv {
  /** The first argument that is not an option. */
  readonly verb: string | undefined;
  readonly positionals: readonly string[];
  /** Known options in order; flags without a value say `true`, undefined is a value that is missing. */
  readonly given: readonly Readonly<{ name: OptionName; text: string | undefined }>[];
  /** Options as written, without their value. */
  readonly unknown: readonly string[];
  readonly help: boolean;
  readonly version: boolean;
}

/** Takes arguments apart without judging them: `--name value`, `--name=value`, `--flag`, and `--` before positionals. */
export function scanArgv(argv: readonly string[]): ScannedArgv {
  const positionals: string[] = [];
  const given: { name: OptionName; text: string | undefined }[] = [];
  const unknown: string[] = [];
  const asked = { help: false, version: false };
  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] ?? "";
    if (argument === "--") {
      positionals.push(...argv.slice(index + 1));
      break;
    }
    const [, name, inline] = /^--([^=]+)(?:=(.*))?$/s.exec(argument) ?? [];
    if (argument === "--help" || argument === "-h") asked.help = true;
    else if (argument === "--version" || argument === "-V") asked.version = true;
    else if (name !== undefined && isOptionName(name)) {
      const next = argv[index + 1];
      const text = inline ?? (isFlag(name) ? "true" : next);
      const missing = inline === undefined && !isFlag(name) && (next === undefined || next.startsWith("--"));
      given.push({ name, text: missing ? undefined : text });
      if (inline === undefined && !isFlag(name) && !missing) index++;
    } else if (argument.startsWith("-") && argument !== "-") unknown.push(argument.replace(/=.*$/s, ""));
    else positionals.push(argument);
  }
  const [verb, ...rest] = positionals;
  return { verb, positionals: rest, given, unknown, ...asked };
}

/** The text of the last occurrence, of repeatable options every one's, an entry a line. */
export function lastTexts(scan: ScannedArgv): ReadonlyMap<OptionName, string> {
  const texts = new Map<OptionName, string>();
  for (const { name, text } of scan.given) {
    const before = options[name].kind.repeats ? texts.get(name) : undefined;
    if (text !== undefined) texts.set(name, before === undefined ? text : `${before}\n${text}`);
  }
  return texts;
}

/** Options whose occurrences contradict each other. */
export function contradictions(scan: ScannedArgv): readonly OptionName[] {
  return optionNames.filter((name) => {
    const texts = scan.given.filter((entry) => entry.name === name && entry.text !== undefined);
    return !options[name].kind.repeats && new Set(texts.map((entry) => entry.text)).size > 1;
  });
}

function isFlag(name: OptionName): boolean {
  return options[name].kind.placeholder === "";
}
