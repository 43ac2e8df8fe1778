import type { Config } from "../../src/config/config.ts";
import { type ConfigInput, parseConfig } from "../../src/config/parse.ts";
import { ConfigError } from "../../src/errors.ts";

export type Overrides = Partial<Omit<ConfigInput, "argv" | "readText">> & {
  /** Files by name; `-` is standard input. */
  readonly files?: Readonly<Record<string, string>>;
};

/** What every populate needs, so that a test names only what it is about. */
export const populate = ["populate", "--bucket", "my-bucket", "--region", "cn-hangzhou", "--target", "/data"];
export const copy = ["copy", "oss://my-bucket/some/path", "/data", "--region", "cn-hangzhou"];
export const verify = ["verify", "oss://my-bucket/some/path", "/data", "--region", "cn-hangzhou"];

export function inputOf(argv: readonly string[], { files = {}, ...overrides }: Overrides = {}): ConfigInput {
  return {
    argv,
    env: {},
    cgroup: { cpus: 2, memoryBytes: undefined },
    workingDirectory: "/work-here",
    isTerminal: false,
    isProcess1: false,
    readText: async (source) => {
      const text = files[source];
      if (text === undefined) throw new Error("no such file");
      return text;
    },
    ...overrides,
  };
}

export async function configOf(argv: readonly string[], overrides?: Overrides): Promise<Config> {
  const parsed = await parseConfig(inputOf(argv, overrides));
  if (parsed.kind !== "run") throw new Error(`expected a run, got ${parsed.kind}`);
  return parsed.config;
}

/** The problems of arguments that cannot be used; fails when they can. */
export async function problemsOf(argv: readonly string[], overrides?: Overrides): Promise<readonly string[]> {
  try {
    await parseConfig(inputOf(argv, overrides));
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  throw new Error(`expected problems with ${argv.join(" ")}`);
}
