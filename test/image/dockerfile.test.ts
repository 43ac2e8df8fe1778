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

function stage(name: string): readonly Instruction[] {
  return stages().get(name) ?? [];
}

function last(name: string): readonly string[] {
  return stage("")
    .filter((instruction) => instruction.name === name)
    .map(({ rest }) => rest);
}

test("all comes from one image that a build argument names, so that a release can pin it by its digest", () => {
  const bases = instructions().flatMap(({ name, rest }) => (name === "FROM" ? [rest.split(" ")[0]] : []));
  expect(bases).toEqual([...Array(bases.length - 1).fill("$NODE_IMAGE"), "scratch"]);
  const [first] = instructions();
  expect(first).toEqual({ name: "ARG", rest: "NODE_IMAGE=node:24-bookworm-slim" });
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

test("only production dependencies get into the image, and one layer with fixed times is all that it adds", () => {
  const { rest: from = "" } = stage("files").find(({ rest }) => rest.includes("node_modules /image/")) ?? {};
  expect(from).toBe("--from=dependencies /app/node_modules /image/app/node_modules");
  expect(stage("dependencies").filter(({ name }) => name === "RUN")).toEqual([
    { name: "RUN", rest: "npm ci --omit=dev" },
  ]);
  expect(last("COPY")).toEqual(["--from=files /image /"]);
  expect(last("RUN")).toEqual([]);
  expect(last("ENV").join(" ")).toContain("NODE_ENV=production");
});

test("the image says what it is in the labels of OCI, without the time of its build", () => {
  const labels = last("LABEL").join(" ");
  for (const label of ["title", "description", "version", "revision", "licenses", "base.name"]) {
    expect(labels).toContain(`org.opencontainers.image.${label}=`);
  }
  expect(labels).not.toContain("created");
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
