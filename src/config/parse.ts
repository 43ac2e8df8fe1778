import { resolve } from "node:path";
import { ConfigError } from "../errors.ts";
import { type ScannedArgv, scanArgv } from "./argv.ts";
import type { CgroupLimits } from "./cgroup.ts";
import type { Config, OutputConfig, TargetConfig, Verb } from "./config.ts";
import { credentialsConfig } from "./credentials.ts";
import { effortConfig, holdAfterWrongOptionsMs } from "./effort.ts";
import { helpText, verbs } from "./help.ts";
import { quote } from "./kinds.ts";
import { suggestion, variableOf } from "./names.ts";
import { definitionOf, type OptionName, optionNames, optionsOf } from "./options.ts";
import { resolveSettings, type Settings } from "./settings.ts";
import { sourceConfig } from "./source.ts";
import { parseSpec, type Spec } from "./spec.ts";
import { collectTexts, type Environment, type Remarks, refuseMissing, type Text, unknownOption } from "./texts.ts";

export interface ConfigInput {
  /** Arguments after the program's name. */
  readonly argv: readonly string[];
  readonly env: Environment;
  /** Content of a file, or of standard input for `-`; called only for `--spec`. */
  readonly readText: (source: string) => Promise<string>;
  readonly cgroup: CgroupLimits;
  /** Absolute path that a relative target is below. */
  readonly workingDirectory: string;
  /** Whether a person is watching: standard error is a terminal. */
  readonly isTerminal: boolean;
  readonly isProcess1: boolean;
}

export type ParsedConfig =
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "version" }
  | { readonly kind: "run"; readonly config: Config };

type Texts = Map<OptionName, Text>;

/**
 * Options, variables and spec as one frozen Config; `--help` and `--version` win over everything else. Throws
 * ConfigError with every problem there is, one sentence each.
 */
export async function parseConfig(input: ConfigInput): Promise<ParsedConfig> {
  const scan = scanArgv(input.argv);
  const verb = knownVerb(scan.verb);
  if (scan.help) return { kind: "help", text: helpText(verb) };
  if (scan.version) return { kind: "version" };
  if (verb === undefined) throw new ConfigError(verbProblems(scan));
  const remarks: Remarks = { problems: [], warnings: [] };
  const texts = collectTexts(scan, verb, input.env, remarks);
  const read = await specOf(texts, input.readText, remarks);
  const spec = read === "unusable" ? undefined : read;
  if (spec === undefined) refuseMissing(read === "unusable" ? ["bucket", "region"] : [], texts);
  else takeSpec(spec, verb, texts);
  const settings = resolveSettings(texts, remarks.problems);
  const config = build({ settings, spec, verb, input, remarks });
  if (remarks.problems.length > 0) throw new ConfigError([...new Set(remarks.problems)]);
  return { kind: "run", config: freeze(config) };
}

/** What of the output options counts when `parseConfig` has thrown. Never throws: wrong ones read as not given. */
export function parseFallback(input: Omit<ConfigInput, "readText" | "cgroup" | "workingDirectory">): Pick<
  OutputConfig,
  "logFormat" | "logLevel" | "terminationLog" | "terminationLogGiven" | "quitUrl"
> & {
  readonly caFile: string | undefined;
  readonly failHoldMs: number;
} {
  const scan = scanArgv(input.argv);
  const verb = knownVerb(scan.verb);
  const texts = collectTexts(scan, verb ?? "populate", input.env, { problems: [], warnings: [] });
  const settings = resolveSettings(texts, []);
  const { logFormat, logLevel, terminationLog, terminationLogGiven, quitUrl } = outputConfig(settings);
  const failHoldMs = holdAfterWrongOptionsMs(settings, { ...input, verb });
  const caFile = settings.get("ca-file");
  return { logFormat, logLevel, terminationLog, terminationLogGiven, quitUrl, caFile, failHoldMs };
}

function knownVerb(name: string | undefined): Verb | undefined {
  return name === "populate" || name === "copy" || name === "verify" ? name : undefined;
}

function verbProblems({ verb, unknown }: ScannedArgv): readonly string[] {
  const meant = verb === undefined ? "" : suggestion(verb, Object.keys(verbs));
  const what = verb === undefined ? "a verb is missing" : `unknown verb ${quote(verb)}`;
  return [
    `${what}${meant === "" ? ": give populate, copy or verify" : meant}`,
    ...unknown.map((option) => unknownOption(option, optionNames)),
  ];
}

async function specOf(
  texts: Texts,
  readText: ConfigInput["readText"],
  remarks: Remarks,
): Promise<Spec | "unusable" | undefined> {
  const given = texts.get("spec");
  const isShared = sharesStandardInput(texts, remarks.problems);
  if (given === undefined || given.text === "") return undefined;
  if (given.text === "-" && isShared) return "unusable";
  const inline = given.text.trimStart().startsWith("{");
  const text = inline ? given.text : await readSpec(given, readText, remarks.problems);
  if (text === undefined) return "unusable";
  return (await parseSpec(text, given.label, remarks)) ?? "unusable";
}

/** What two options want to read from standard input, the second would find empty, or wait for without end. */
function sharesStandardInput(texts: Texts, problems: string[]): boolean {
  const readers = (["spec", "files-from", "ca-file"] as const).flatMap((name) => texts.get(name) ?? []);
  const [first, ...others] = readers.filter(({ text }) => text === "-");
  for (const { label } of others) problems.push(`${first?.label} and ${label} cannot both be standard input`);
  return others.length > 0;
}

async function readSpec(
  { text, label }: Text,
  readText: ConfigInput["readText"],
  problems: string[],
): Promise<string | undefined> {
  try {
    return await readText(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    problems.push(`${label}: cannot read ${text === "-" ? "standard input" : quote(text)}: ${why}`);
    return undefined;
  }
}

/** The role of the spec is not an option: it ranks below the keys in the environment. */
function takeSpec(spec: Spec, verb: Verb, texts: Texts): void {
  const useful = optionsOf(verb);
  for (const name of ["bucket", "path", "region", "endpoint", "throughput"] as const) {
    const given = spec[name];
    if (given !== undefined && useful.includes(name) && !texts.has(name)) texts.set(name, given);
  }
}

interface Parts {
  readonly settings: Settings;
  readonly spec: Spec | undefined;
  readonly verb: Verb;
  readonly input: ConfigInput;
  readonly remarks: Remarks;
}

function build({ settings, spec, verb, input, remarks }: Parts): Config {
  const { problems, warnings } = remarks;
  const source = sourceConfig(settings, input.env, problems);
  const config = {
    verb,
    dryRun: settings.get("dry-run"),
    source,
    credentials: credentialsConfig({ settings, spec, env: input.env, problems }),
    target: targetConfig(settings, input.workingDirectory, problems),
    effort: effortConfig(settings, { ...input, verb, scheme: source.endpoint.scheme }, remarks),
    output: outputConfig(settings),
  };
  const { metricsListen, metricsPush } = config.output;
  if (settings.from("owner-uid") !== undefined && metricsListen === undefined && metricsPush === undefined) {
    warnings.push(`${settings.label("owner-uid")} has no effect without --metrics-listen or --metrics-push`);
  }
  if (settings.from("metrics-label") !== undefined && metricsPush === undefined) {
    warnings.push(`${settings.label("metrics-label")} has no effect without --metrics-push`);
  }
  return { ...config, warnings };
}

function targetConfig(settings: Settings, workingDirectory: string, problems: string[]): TargetConfig {
  const target = settings.get("target");
  if (target === undefined && !settings.broken("target") && settings.from("target") === undefined) {
    problems.push(`the target is missing: give --target or ${variableOf("target")}`);
  }
  return {
    directory: resolve(workingDirectory, target ?? ""),
    allowRootFilesystem: settings.get("allow-root-filesystem"),
    allowNonEmpty: settings.get("allow-non-empty"),
    uid: settings.get("uid"),
    gid: settings.get("gid"),
    fileMode: settings.get("file-mode"),
    dirMode: settings.get("dir-mode"),
    chownRoot: settings.get("chown-root"),
    mtime: !settings.get("no-mtime"),
    overwrite: settings.get("overwrite"),
    unsupported: settings.get("unsupported"),
    resume: !settings.get("no-resume"),
    resumeWithinMs: settings.get("resume-within"),
    directoryOnly: optionNames
      .filter((name) => definitionOf(name).directoryOnly && settings.from(name) !== undefined)
      .map((name) => settings.label(name)),
  };
}

function outputConfig(settings: Settings): OutputConfig {
  return {
    logFormat: settings.get("log-format"),
    logLevel: settings.get("log-level"),
    report: settings.get("report"),
    terminationLog: settings.get("termination-log"),
    terminationLogGiven: settings.from("termination-log") !== undefined,
    metricsListen: settings.get("metrics-listen"),
    metricsPush: settings.get("metrics-push"),
    metricsLabels: settings.get("metrics-label") ?? {},
    ownerUid: settings.get("owner-uid"),
    quitUrl: settings.get("quit-url"),
  };
}

function freeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) if (typeof member === "object" && member !== null) freeze(member);
  return Object.freeze(value);
}
