import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import type { Verb } from "../../src/config/config.ts";
import { helpText, verbs } from "../../src/config/help.ts";
import { definitionOf, optionsOf } from "../../src/config/options.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { exitCodes } from "../../src/engine/exit-code.ts";
import { ConfigError } from "../../src/errors.ts";
import { compareTree } from "../emulator/compare-tree.ts";
import { addDemoSet } from "../emulator/demo-set.ts";
import { Emulator } from "../emulator/server.ts";
import { blocks, readme, tableAfter } from "./blocks.ts";
import { type Call, recordCalls, runBlock } from "./shell.ts";
import { defaultText, withTables } from "./tables.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const program = join(root, "src/cli.ts");
const specFile = "ossvolumepopulator.yaml";
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  scripts: Readonly<Record<string, string>>;
};

const shellBlocks = blocks.filter(({ language }) => language === "sh");
const documents = blocks
  .filter(({ language }) => language === "yaml")
  .map(({ text }) => ({ text, documents: parseAllDocuments(text) }));

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "oss-populator-readme-"));
  const spec = documents.find(({ text }) => text.includes("kind: OSSVolumePopulator\nmetadata"));
  await writeFile(join(directory, specFile), spec?.text ?? "");
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** The problems and warnings of a command line; none for one that can run. */
async function complaints(argv: readonly string[], { input, env }: Pick<Call, "input" | "env">) {
  try {
    const parsed = await parseConfig({
      argv,
      env,
      readText: async (source) => (source === "-" ? input : readFileSync(join(directory, source), "utf8")),
      cgroup: { cpus: 2, memoryBytes: undefined },
      workingDirectory: directory,
      isTerminal: false,
      isProcess1: false,
    });
    return parsed.kind === "run" ? parsed.config.warnings : [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

/** What follows the name of the image. */
function containerArguments({ args }: Call): readonly string[] {
  return args.slice(args.indexOf("oss-populator") + 1);
}

describe("commands of the README", () => {
  const known = ["npm", "docker", "oss-populator"];

  test("are there: the demo, the tests, a copy, a populate and a verify", () => {
    const all = shellBlocks.map(({ text }) => text).join("");
    const wanted = [
      "npm run demo\n",
      "npm test\n",
      "oss-populator copy ",
      "oss-populator populate ",
      "oss-populator verify ",
    ];
    for (const command of wanted) expect(all).toContain(command);
  });

  test.each(shellBlocks.map(({ text }) => [text.split("\n", 1)[0], text] as const))("run: %s", async (_, text) => {
    const own = await mkdtemp(join(directory, "block-"));
    await writeFile(join(own, specFile), readFileSync(join(directory, specFile)));
    const calls = await recordCalls(text, own, known);
    for (const call of calls) {
      if (call.name === "oss-populator") expect(await complaints(call.args, call), call.args.join(" ")).toEqual([]);
      if (call.name === "npm") {
        const script = call.args[0] === "run" ? call.args[1] : call.args[0];
        expect(Object.keys(manifest.scripts)).toContain(script);
      }
      if (call.name === "docker" && call.args[0] === "run") {
        expect(await complaints(containerArguments(call), call)).toEqual([]);
      }
      if (call.name === "docker" && call.args[0] === "build")
        expect(call.args).toEqual(["build", "--tag", "oss-populator", "."]);
    }
    expect(calls.length > 0 || text.includes("alias ")).toBe(true);
  });

  test("work against the emulator where the README says so", async () => {
    await using emulator = await Emulator.start();
    const bucket = emulator.bucket("demo-bucket");
    addDemoSet(bucket, { smallCount: 50, largeBytes: [9_000_000] });
    const marked = shellBlocks.filter(({ mark }) => mark === "against the emulator");
    expect(marked.length).toBe(1);
    const own = await mkdtemp(join(directory, "emulator-"));
    for (const { text } of marked) {
      const block = text.replaceAll("http://127.0.0.1:9000", emulator.url).replaceAll("/tmp/names", join(own, "names"));
      const script = `exec "${process.execPath}" "${program}" "$@"`;
      const { code, stderr } = await runBlock(block, own, { "oss-populator": script });
      expect(code, stderr).toBe(0);
    }
    expect((await compareTree(bucket, "dataset/names/", join(own, "names"))).differences).toEqual([]);
    const [volume = ""] = (await readdir(own)).filter((name) => name.startsWith("tmp."));
    expect((await compareTree(bucket, "dataset/", join(own, volume))).differences).toEqual([]);
  });

  test("need only flags that the emulator has", async () => {
    const { code, stderr } = await runBlock(`emulator --demo --port 9000 --help`, directory, {
      emulator: `exec "${process.execPath}" "${join(root, "test/emulator/main.ts")}" "$@"`,
    });
    expect(code, stderr).toBe(0);
    expect(readme).toContain("npm run emulator -- --demo --port 9000\n");
  });
});

describe("YAML of the README", () => {
  const parsed = documents.flatMap(({ documents: each }) => each);

  test("is YAML", () => {
    for (const document of parsed) expect(document.errors).toEqual([]);
    const kinds = parsed.map((document) => document.get("kind"));
    expect(kinds).toEqual(["OSSVolumePopulator", "Pod", "Workflow"]);
  });

  test("has arguments of a pod that run", async () => {
    const pod = parsed.find((document) => document.get("kind") === "Pod");
    const args: unknown = pod?.toJS().spec.containers[0].args;
    // A list of text in the README is the point of the test.
    expect(await complaints(args as string[], { input: "", env: {} })).toEqual([]);
  });

  test("refers from the workflow to the populator by its name", () => {
    const [populator, , workflow] = parsed.map((document) => document.toJS());
    const [{ ephemeral }] = workflow.spec.volumes;
    const [group] = populator.apiVersion.split("/");
    const reference = { apiGroup: group, kind: populator.kind, name: populator.metadata.name };
    expect(ephemeral.volumeClaimTemplate.spec.dataSourceRef).toEqual(reference);
    expect(workflow.metadata.namespace).toBe(populator.metadata.namespace);
  });
});

describe("tables of the README", () => {
  test("of options are those of the program (npx node test/readme/tables.ts)", () => {
    expect(readme).toBe(withTables(readme));
  });

  test("of options say what the help says", () => {
    for (const verb of Object.keys(verbs) as Verb[]) {
      const help = helpText(verb).replaceAll(/\s+/g, " ");
      for (const name of optionsOf(verb)) {
        const { kind, help: meaning } = definitionOf(name);
        const text = defaultText(name, verb);
        const term = kind.placeholder === "" ? `--${name}` : `--${name} ${kind.placeholder}`;
        expect(help).toContain(` ${term} ${meaning}${text === undefined ? "" : ` (default: ${text})`} `);
      }
    }
  });

  test("of exit codes has every code of the program, in order", () => {
    const codes = tableAfter("exit codes").map(([code]) => Number(code));
    expect(codes).toEqual(Object.values(exitCodes).toSorted((a, b) => a - b));
  });

  test("of exit codes recommends a retry exactly where the work goes on", () => {
    const retry = tableAfter("exit codes").flatMap(([code, , answer]) => (answer === "yes" ? [Number(code)] : []));
    expect(retry).toEqual([exitCodes.passing, exitCodes.interrupted, exitCodes.terminated]);
  });

  test("and text link to files that exist", () => {
    const links = [...readme.matchAll(/\]\(([^)#:]+)\)/g)].map(([, link = ""]) => link);
    expect(links.length).toBeGreaterThan(2);
    for (const link of links) expect(existsSync(join(root, link)), link).toBe(true);
  });
});
