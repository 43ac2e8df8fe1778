import { readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, normalize, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

interface Room {
  /** Other rooms, or files at the top of `src`, that may be imported. */
  readonly rooms: readonly string[];
  /** Packages and Node modules that may be imported; undefined allows any. */
  readonly packages?: readonly string[];
}

const everyRoom = ["run", "config", "engine", "data", "oss", "volume", "checksum", "observe", "types", "errors"];

/** The rooms and doors of the design: who may know whom. */
const table: Readonly<Record<string, Room>> = {
  types: { rooms: [], packages: [] },
  errors: { rooms: [], packages: [] },
  cli: { rooms: ["config", "run", "observe", "errors", "types", "engine/exit-code"] },
  index: { rooms: ["config", "run", "errors", "types"], packages: [] },
  run: { rooms: everyRoom },
  config: { rooms: ["types", "errors"] },
  engine: { rooms: ["types", "errors", "checksum"], packages: ["p-limit", "picomatch", "node:crypto"] },
  data: { rooms: ["oss", "volume", "checksum", "types", "errors"] },
  oss: { rooms: ["types", "errors"] },
  volume: { rooms: ["types", "errors"] },
  checksum: { rooms: [], packages: [] },
  observe: { rooms: ["types"] },
};

interface Import {
  readonly from: string;
  readonly specifier: string;
}

/** Paths below the root, with slashes, of all sources below a directory. */
function sources(directory: string): string[] {
  const entries = readdirSync(join(root, directory), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

/** Without comments, so that they may speak of what code must not use. */
function code(file: string): string {
  return readFileSync(join(root, file), "utf8").replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$|\s\/\/ .*$/gm, "");
}

/** What a file imports, exports from elsewhere, loads at run time, or names by URL to start a thread with. */
function importsOf(file: string): Import[] {
  const patterns = [
    /^(?:import|export)\b[^"';]*\bfrom\s*"([^"\n]+)"/gm,
    /^import\s*"([^"\n]+)"/gm,
    /\bimport\(\s*"([^"]+)"/g,
    /\brequire\(\s*"([^"]+)"/g,
    /new URL\(\s*"([^"]+\.[jt]s)"/g,
  ];
  const text = code(file);
  return patterns.flatMap((pattern) =>
    [...text.matchAll(pattern)].map(([, specifier = ""]) => ({ from: file, specifier })),
  );
}

/** `engine/plan` of `src/engine/plan.ts`, and of an import that leads there. */
function moduleOf(path: string): string {
  return path.replace(/^src\//, "").replace(/\.[jt]s$/, "");
}

function roomOf(module: string): string {
  return module.split("/")[0] ?? module;
}

function targetOf({ from, specifier }: Import): string | undefined {
  return specifier.startsWith(".") ? normalize(join(dirname(from), specifier)) : undefined;
}

/** Why an import is not allowed; undefined if it is. */
function objection(each: Import): string | undefined {
  const room = roomOf(moduleOf(each.from));
  const rules = table[room];
  if (!rules) return `${each.from} is in no room`;
  const target = targetOf(each);
  if (target === undefined) {
    const allowed = rules.packages === undefined || rules.packages.includes(each.specifier);
    return allowed ? undefined : `${each.from} imports ${each.specifier}`;
  }
  const module = moduleOf(target);
  const allowed = roomOf(module) === room || rules.rooms.includes(roomOf(module)) || rules.rooms.includes(module);
  return allowed && target.startsWith("src/") ? undefined : `${each.from} imports ${target}`;
}

const files = sources("src").filter((file) => !file.endsWith(".as.ts"));

test("every import goes through a door of the design", () => {
  expect(files.length).toBeGreaterThan(80);
  expect(files.flatMap(importsOf).length).toBeGreaterThan(300);
  expect(
    files
      .flatMap(importsOf)
      .map(objection)
      .filter((each) => each !== undefined),
  ).toEqual([]);
});

test.each([
  ["src/engine/plan.ts", "node:fs"],
  ["src/engine/plan.ts", "undici"],
  ["src/engine/plan.ts", "../volume/path.ts"],
  ["src/oss/source.ts", "../engine/retry.ts"],
  ["src/checksum/crc64.ts", "../types.ts"],
  ["src/observe/log.ts", "../errors.ts"],
  ["src/cli/hold.ts", "../engine/retry.ts"],
  ["src/cli.ts", "./volume/path.ts"],
  ["src/data/slabs.ts", "../engine/queue.ts"],
  ["src/run.ts", "../test/emulator/server.ts"],
  ["src/elsewhere/new.ts", "node:fs"],
])("%s must not import %s", (from, specifier) => {
  expect(objection({ from, specifier })).toBeDefined();
});

test("all packages that are imported are declared, and every dependency is used", () => {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { dependencies: object };
  const used = files
    .flatMap(importsOf)
    .map(({ specifier }) => specifier)
    .filter((specifier) => !specifier.startsWith(".") && !isBuiltin(specifier))
    .map((specifier) => specifier.match(/^(@[^/]+\/)?[^/]+/)?.[0] ?? specifier);
  expect([...new Set(used)].toSorted()).toEqual(Object.keys(manifest.dependencies).toSorted());
});

test("Node's own modules are named as such", () => {
  const bare = files
    .flatMap(importsOf)
    .filter(({ specifier }) => isBuiltin(specifier) && !specifier.startsWith("node:"));
  expect(bare).toEqual([]);
});

test("time, chance and the process come into the engine, they are not taken", () => {
  const taken =
    /\b(Date\.now|new Date\(\)|performance\.|Math\.random|process\.|setTimeout|setInterval|setImmediate|fetch\()/;
  const engine = files.filter((file) => file.startsWith("src/engine/"));
  expect(engine.length).toBeGreaterThan(20);
  expect(engine.filter((file) => taken.test(code(file)))).toEqual([]);
});

test("only the command line touches the process's arguments, environment, signals and exit", () => {
  const touched = /\bprocess\.(argv|env|exit|exitCode|on|once|kill|stdin|stdout|stderr)\b/;
  const others = files.filter((file) => file !== "src/cli.ts" && !file.startsWith("src/cli/"));
  expect(others.filter((file) => touched.test(code(file)))).toEqual([]);
});

test("nothing ends the process in the middle of its work but a second signal", () => {
  expect(files.filter((file) => /\bprocess\.exit\(/.test(code(file)))).toEqual(["src/cli/signals.ts"]);
});

test("no room is entered in a circle", () => {
  const graph = new Map<string, Set<string>>();
  for (const each of files.flatMap(importsOf)) {
    const target = targetOf(each);
    if (target === undefined) continue;
    const [from, to] = [roomOf(moduleOf(each.from)), roomOf(moduleOf(target))];
    if (from !== to) graph.set(from, (graph.get(from) ?? new Set()).add(to));
  }
  const reaches = (from: string, goal: string, seen = new Set<string>()): boolean =>
    [...(graph.get(from) ?? [])].some((next) => {
      if (next === goal) return true;
      if (seen.has(next)) return false;
      seen.add(next);
      return reaches(next, goal, seen);
    });
  expect([...graph.keys()].filter((room) => reaches(room, room))).toEqual([]);
});

test("the emulator knows nothing of what it is to test", () => {
  const strays = sources("test/emulator")
    .filter((file) => !file.endsWith(".test.ts"))
    .flatMap(importsOf)
    .filter((each) => targetOf(each)?.startsWith("src/"));
  expect(strays.map(({ from, specifier }) => `${from} imports ${specifier}`)).toEqual([]);
});
