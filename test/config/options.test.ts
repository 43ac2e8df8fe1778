import { describe, expect, it } from "vitest";
import type { Verb } from "../../src/config/config.ts";
import { optionOf, variableOf } from "../../src/config/names.ts";
import { definitionOf, type OptionName, optionNames, optionsOf } from "../../src/config/options.ts";
import type { Sample } from "./sample.ts";
import { runSamples } from "./samples-run.ts";
import { sourceSamples } from "./samples-source.ts";
import { configOf, copy, populate, problemsOf, verify } from "./support.ts";

// An option without a sample does not compile.
const samples: Readonly<Record<OptionName, Sample>> = { ...sourceSamples, ...runSamples };
const named = Object.entries(samples);

describe("what a block device has no use for", () => {
  it("is told as it was given, and nothing when it was not", async () => {
    const env = { OSS_POPULATOR_UID: "5", OSS_POPULATOR_RETRIES: "2" };
    const argv = [...populate, "--file-mode=0600", "--include=*", "--no-mtime", "--no-resume", "--throughput=5"];
    const { target } = await configOf(argv, { env });
    expect(target.directoryOnly.toSorted()).toEqual(["--file-mode", "--include", "--no-mtime", "OSS_POPULATOR_UID"]);
    expect((await configOf(populate)).target.directoryOnly).toEqual([]);
  });

  it("is what speaks of names, owners and modes, or of more than one object", () => {
    expect(optionNames.filter((name) => definitionOf(name).directoryOnly)).toEqual([
      "include",
      "exclude",
      "files-from",
      "allow-empty",
      "allow-root-filesystem",
      "uid",
      "gid",
      "file-mode",
      "dir-mode",
      "chown-root",
      "no-mtime",
      "unsupported",
    ]);
  });
});

describe.each(named)("--%s", (name, { argv, pick, right, wrong }) => {
  const variable = variableOf(name);
  const [[first, firstValue], [second, secondValue]] = right;

  it.each(right)("given as %j is taken", async (text, value) => {
    expect(pick(await configOf([...argv, `--${name}=${text}`]))).toEqual(value);
  });

  it("is taken from its variable, and an option wins over that", async () => {
    expect(pick(await configOf(argv, { env: { [variable]: first } }))).toEqual(firstValue);
    expect(pick(await configOf([...argv, `--${name}=${second}`], { env: { [variable]: first } }))).toEqual(secondValue);
  });

  it.each(wrong)("given as %j is refused by name", async (text) => {
    const problems = await problemsOf([...argv, `--${name}=${text}`]);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(new RegExp(`^--${name}\\b`));
  });

  it("is refused by the name of its variable when that is wrong", async () => {
    const text = wrong.find((candidate) => candidate !== "") ?? "";
    expect((await problemsOf(argv, { env: { [variable]: text } }))[0]).toMatch(new RegExp(`^${variable}\\b`));
  });

  it("is not given by an empty variable", async () => {
    const complete = [...argv, `--${name}=${first}`];
    expect(pick(await configOf(complete, { env: { [variable]: "" } }))).toEqual(firstValue);
  });

  it("is refused by the verbs that have no use for it", async () => {
    const lines: Readonly<Record<Verb, readonly string[]>> = { populate, copy, verify };
    for (const [verb, line] of Object.entries(lines)) {
      if (definitionOf(name as OptionName).verbs.some((useful) => useful === verb)) continue;
      expect(await problemsOf([...line, `--${name}=${first}`])).toContainEqual(
        expect.stringContaining(`--${name} is of no use to ${verb}`),
      );
    }
  });
});

describe("the table of options", () => {
  it("has no option whose variable looks like a service link", () => {
    for (const name of optionNames) expect(optionOf(variableOf(name))).toBe(name);
  });

  it("has defaults that its own kinds accept", () => {
    for (const name of optionNames) {
      const { kind, default: text } = definitionOf(name);
      if (text !== undefined) expect(kind.parse(text), name).toBeDefined();
    }
  });

  it("gives verify nothing that writes and only populate a --target", () => {
    expect(optionsOf("verify")).not.toEqual(expect.arrayContaining(["uid"]));
    for (const name of ["throughput", "part-size", "file-mode", "overwrite", "dry-run", "target"] as const) {
      expect(optionsOf("verify")).not.toContain(name);
    }
    expect(optionsOf("copy")).not.toContain("target");
  });

  it.each(["device"])("does not know --%s", async (name) => {
    expect(await problemsOf([...populate, `--${name}`])).toContainEqual(
      expect.stringMatching(`^unknown option --${name}`),
    );
  });
});
