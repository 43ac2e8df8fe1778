import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { Readable, Writable } from "node:stream";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { CopyReport } from "../../../src/types.ts";
import { leaksOf } from "./secrets.ts";

const built = fileURLToPath(new URL("../../../dist/cli.js", import.meta.url));
/** A run that hangs is ended before the test's own time is up, so that what it said is not lost. */
const usualPatienceMs = 150_000;

export interface CliOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly stdin?: string;
  /** Leaves standard input open after `stdin`, as a pipe whose writer is not done. */
  readonly keepStdinOpen?: boolean;
  /** Program and arguments that start the CLI in their turn, such as `unshare`. */
  readonly wrapper?: readonly string[];
  /** Texts that must not come out anywhere. */
  readonly secrets?: readonly string[];
  /** How long it may run. */
  readonly patienceMs?: number;
  /** Where `--report` and `--termination-log` point to, if the arguments say so. */
  readonly traces?: Traces;
}

export interface Traces {
  readonly report: string;
  readonly terminationLog: string;
}

export interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly [field: string]: unknown;
}

/** Everything that one run left behind. */
export interface CliResult {
  /** Null if a signal killed it. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The JSON lines of standard error. */
  readonly lines: readonly LogLine[];
  readonly report: CopyReport | undefined;
  readonly terminationLog: string | undefined;
  /** Milliseconds from the start to the exit. */
  readonly elapsedMs: number;
}

/** A run under way; disposing kills it. */
export interface CliRun extends AsyncDisposable {
  readonly pid: number;
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly result: Promise<CliResult>;
  stderr(): string;
  /** Resolves when standard error matches; rejects when the run ends before. */
  said(pattern: RegExp): Promise<void>;
}

/** Starts the built program with nothing of our environment but the path. */
export function startCli(args: readonly string[], options: CliOptions = {}): CliRun {
  const [program = process.execPath, ...rest] = [...(options.wrapper ?? []), process.execPath, built, ...args];
  const startedMs = performance.now();
  const env = { PATH: process.env.PATH, ...options.env };
  const child = spawn(program, rest, {
    stdio: ["pipe", "pipe", "pipe"],
    env,
    timeout: options.patienceMs ?? usualPatienceMs,
    killSignal: "SIGKILL",
  });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  child.stdin.on("error", () => {}); // a program that refuses its options does not read
  if (options.keepStdinOpen) child.stdin.write(options.stdin ?? "");
  else child.stdin.end(options.stdin ?? "");
  const closed = once(child, "close");
  const result = closed.then(([exitCode]) => {
    const elapsedMs = performance.now() - startedMs;
    return resultOf({ exitCode, stdout: stdout(), stderr: stderr(), elapsedMs }, options);
  });
  result.catch(() => {}); // whoever awaits it sees it
  return {
    pid: child.pid ?? 0,
    child,
    result,
    stderr,
    said: async (pattern) => {
      while (!pattern.test(stderr())) {
        if (child.stderr.closed) throw new Error(`the run ended without saying ${pattern}:\n${stderr()}`);
        await setTimeout(20);
      }
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await closed.catch(() => {});
    },
  };
}

/** What a stream has said so far. */
function collect(stream: Readable): () => string {
  let text = "";
  stream.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  return () => text;
}

/** Throws if a secret came out. */
async function resultOf(
  ended: Pick<CliResult, "exitCode" | "stdout" | "stderr" | "elapsedMs">,
  { traces, secrets = [] }: CliOptions,
): Promise<CliResult> {
  const { reportText, terminationLog } = await readTraces(traces);
  const leaks = leaksOf([ended.stdout, ended.stderr, reportText ?? "", terminationLog ?? ""], secrets);
  if (leaks.length > 0) throw new Error(`a secret came out: ${leaks.join("\n")}`);
  const report = reportText === undefined ? undefined : (JSON.parse(reportText) as CopyReport); // tests check its fields
  return { ...ended, lines: jsonLines(ended.stderr), report, terminationLog };
}

async function readTraces(traces: Traces | undefined) {
  const read = (path: string | undefined) =>
    path === undefined ? undefined : readFile(path, "utf8").catch(() => undefined);
  const [reportText, terminationLog] = await Promise.all([read(traces?.report), read(traces?.terminationLog)]);
  return { reportText, terminationLog };
}

function jsonLines(text: string): LogLine[] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as LogLine);
}

/** Arguments with defaults for those options that are neither among them nor in `without`. */
export function withDefaults(
  args: readonly string[],
  defaults: Readonly<Record<string, string>>,
  without: readonly string[] = [],
): string[] {
  const given = new Set([...args.map((arg) => arg.split("=")[0]), ...without.map((name) => `--${name}`)]);
  const added = Object.entries(defaults).flatMap(([name, value]) =>
    given.has(`--${name}`) ? [] : [`--${name}`, value],
  );
  return [...args, ...added];
}

/** Files beside each other whose names begin with `path`. */
export function tracesAt(path: string): Traces {
  return { report: `${path}.report.json`, terminationLog: `${path}.termination-log` };
}
