import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const root = new URL("../../", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("package.json", root), "utf8")) as { version: string };

interface Instruction {
  readonly name: string;
  readonly rest: string;
}

/** Instructions with continuation lines joined and comments left out. */
function instructions(): readonly Instruction[] {
  const text = readFileSync(new URL("Dockerfile", root), "utf8");
  const lines = text.replace(/^\s*#.*\n/gm, "").replaceAll(/\\\n/g, " ");
  return lines.split("\n").flatMap((line) => {
    const [, name, rest] = /^([A-Z]+)\s+(.*)$/.exec(line.trim()) ?? [];
    return name === undefined || rest === undefined ? [] : [{ name, rest: rest.trim() }];
  });
}

/** The instructions of each stage, by the name of the stage; the last one is "". */
function stages(): ReadonlyMap<string, readonly Instruction[]> {
  const found = new Map<string, Instruction[]>();
  let current: Instruction[] = [];
  for (const instruction of instructions()) {
    if (instruction.name === "FROM") {
      current = [];
      found.set(/ AS (\S+)$/.exec(instruction.rest)?.[1] ?? "", current);
    }
    current.push(instruction);
  }
  return found;
}

function last(name: string): readonly string[] {
  return (stages().get("") ?? []).filter((instruction) => instruction.name === name).map(({ rest }) => rest);
}

test("every stage stands on the same slim Node 24", () => {
  const bases = instructions().flatMap(({ name, rest }) => (name === "FROM" ? [rest.split(" ")[0]] : []));
  expect(new Set(bases)).toEqual(new Set(["node:24-bookworm-slim"]));
  expect(bases.length).toBeGreaterThan(1);
});

test("the entrypoint is in exec form, so that signals reach the program and arguments are the verb's", () => {
  const [entrypoint, ...more] = last("ENTRYPOINT");
  expect(more).toEqual([]);
  expect(JSON.parse(entrypoint ?? "")).toEqual(["node", "/app/dist/cli.js"]);
  expect(last("CMD")).toEqual([]);
});

test("the image runs as root unless it is told otherwise, and its only health check is its exit code", () => {
  expect(last("USER")).toEqual([]);
  expect(last("HEALTHCHECK")).toEqual([]);
});

test("only production dependencies get into the image", () => {
  const [from] = last("COPY").flatMap((rest) => /^--from=(\S+) \S*node_modules /.exec(rest)?.[1] ?? []);
  const commands = (stages().get(from ?? "") ?? []).flatMap(({ name, rest }) => (name === "RUN" ? [rest] : []));
  expect(commands).toEqual(["npm ci --omit=dev"]);
  expect(last("RUN")).toEqual([]);
  expect(last("ENV")).toContain("NODE_ENV=production");
});

test("the image's version is the package's", () => {
  expect(last("LABEL").join(" ")).toContain(`org.opencontainers.image.version="${manifest.version}"`);
});

test("everything that the Dockerfile copies is in the build context, and nothing else", () => {
  const ignored = readFileSync(new URL(".dockerignore", root), "utf8").split("\n");
  const rules = ignored.filter((line) => line !== "" && !line.startsWith("#"));
  expect(rules[0]).toBe("*");
  const kept = new Set(rules.slice(1).map((rule) => rule.replace(/^!/, "")));
  const copied = instructions().flatMap(({ name, rest }) => {
    const words = rest.split(/\s+/).filter((word) => !word.startsWith("--"));
    return name === "COPY" && !rest.includes("--from=") ? words.slice(0, -1) : [];
  });
  expect(new Set(copied.map((path) => path.split("/")[0]))).toEqual(kept);
});
