import type { Bucket } from "../../emulator/object-store.ts";
import { DEFAULT_CREDENTIAL, Emulator, type EmulatorOptions } from "../../emulator/server.ts";
import { type CliOptions, type CliResult, type CliRun, startCli, tracesAt, withDefaults } from "./cli.ts";
import { makeScratch, type Scratch } from "./scratch.ts";

export const bucketName = "test-bucket";
const secret = "a-secret-that-nobody-may-see";
const accessKeyId = "test-access-key-id";
export const credentials = {
  ALIBABA_CLOUD_ACCESS_KEY_ID: accessKeyId,
  ALIBABA_CLOUD_ACCESS_KEY_SECRET: secret,
} as const;

export type Verb = "populate" | "copy" | "verify";

export interface SceneOptions extends EmulatorOptions {
  /** Path in the bucket that the verbs read; `data/` unless given. */
  readonly path?: string;
}

export interface RunOptions extends CliOptions {
  readonly target?: string;
  readonly path?: string;
  readonly bucket?: string;
  readonly endpoint?: string;
  /** Options that a run usually gets and this one must not. */
  readonly without?: readonly string[];
}

/** An emulator, a scratch directory and an empty target in it: what most tests need, and nothing else. */
export interface Scene extends AsyncDisposable {
  readonly emulator: Emulator;
  readonly bucket: Bucket;
  readonly scratch: Scratch;
  readonly target: string;
  /** Runs a verb against the emulator to its end; `args` come before the defaults and replace them. */
  run(verb: Verb, args?: readonly string[], options?: RunOptions): Promise<CliResult>;
  /** The same, without waiting. */
  start(verb: Verb, args?: readonly string[], options?: RunOptions): CliRun;
}

export async function openScene({ path: scenePath = "data/", ...options }: SceneOptions = {}): Promise<Scene> {
  const emulator = await Emulator.start({
    buckets: [bucketName],
    credentials: [{ ...DEFAULT_CREDENTIAL, accessKeyId, accessKeySecret: secret }],
    ...options,
  });
  const scratch = await makeScratch();
  const target = await scratch.directory("target");
  let runs = 0;
  const start: Scene["start"] = (verb, args = [], { env = credentials, secrets = [], ...more } = {}) => {
    const traces = tracesAt(`${scratch.path}/run-${++runs}`);
    const place = { path: scenePath, target, endpoint: emulator.url, ...more };
    const defaults = {
      ...sourceOptions(verb, place),
      endpoint: place.endpoint,
      region: "cn-hangzhou",
      "fail-hold": "0s",
      report: traces.report,
      "termination-log": traces.terminationLog,
    };
    const words = [verb, ...positionals(verb, place), ...args];
    return startCli(withDefaults(words, defaults, place.without), {
      traces,
      ...more,
      env,
      secrets: [secret, ...secrets],
    });
  };
  return {
    emulator,
    bucket: emulator.bucket(bucketName),
    scratch,
    target,
    start,
    run: (verb, args, runOptions) => start(verb, args, runOptions).result,
    async [Symbol.asyncDispose]() {
      await emulator[Symbol.asyncDispose]();
      await scratch[Symbol.asyncDispose]();
    },
  };
}

type Place = Pick<Required<RunOptions>, "path" | "target"> & { readonly bucket?: string };

function positionals(verb: Verb, { path, target, bucket = bucketName }: Place): string[] {
  return verb === "populate" ? [] : [`oss://${bucket}/${path}`, target];
}

function sourceOptions(verb: Verb, { path, target, bucket = bucketName }: Place): Record<string, string> {
  return verb === "populate" ? { bucket, path, target } : {};
}
