import { execFile, spawnSync } from "node:child_process";
import { promisify, stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import { progressWith } from "./support.ts";

const ESC = "\u001b";
/** Control sequences, ends of lines and text. */
const pieces = new RegExp(`${ESC}\\[([?\\d;]*[A-Za-z])|\\r|\\n|[^${ESC}\\r\\n]+`, "g");
/** Of util-linux; it makes the terminal. */
const hasScript = spawnSync("script", ["--version"]).status === 0;

const resolve = (name: string) => JSON.stringify(import.meta.resolve(`../../src/observe/${name}.ts`));

const program = `
  const { createLiveView } = await import(${resolve("live-view")});
  const { createLogger, createLogDestination } = await import(${resolve("log")});
  const { setTimeout: sleep } = await import("node:timers/promises");
  const base = ${JSON.stringify(progressWith({ listingComplete: true, listed: { objects: 10, bytes: 10_000_000 } }))};
  let objects = 0;
  const progress = () => ({ ...base, copied: { objects, bytes: objects * 1_000_000 }, receivedBytes: objects * 1_000_000 });
  const colours = process.stderr.hasColors();
  const view = await createLiveView({ terminal: process.stderr, log: createLogDestination(2), colours });
  const logger = createLogger({ format: "text", level: "info", destination: view, secrets: () => [], colours });
  logger.info("before");
  view.start(progress);
  for (objects = 1; objects < 10; objects += 4) await sleep(300);
  logger.info("between");
  await sleep(300);
  objects = 10;
  view.stop();
  view.stop();
  logger.info("after");`;

/** What a terminal of that width gets to see of the program's standard error. */
async function onTerminal(columns: number, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const command = `stty cols ${columns} rows 24; exec "$NODE" --input-type=module -e "$PROGRAM"`;
  const { stdout } = await promisify(execFile)("script", ["-qec", command, "/dev/null"], {
    env: {
      PATH: process.env.PATH,
      TERM: "xterm-256color",
      SHELL: "/bin/sh",
      NODE: process.execPath,
      PROGRAM: program,
      ...env,
    },
  });
  return stdout;
}

/** The lines that a terminal shows in the end, cursor movements and erasures applied. */
function screen(output: string): string[] {
  const rows: string[] = [""];
  let row = 0;
  let column = 0;
  for (const [piece, code] of output.matchAll(pieces)) {
    const count = Number.parseInt(code ?? "", 10) || 1;
    if (code?.endsWith("A")) row -= count;
    else if (code?.endsWith("B")) row += count;
    else if (code?.endsWith("G") || piece === "\r") column = 0;
    else if (code === "2K") rows[row] = "";
    else if (code === "K") rows[row] = (rows[row] ?? "").slice(0, column);
    else if (piece === "\n") row++;
    else if (code === undefined) {
      rows[row] =
        (rows[row] ?? "").slice(0, column).padEnd(column) + piece + (rows[row] ?? "").slice(column + piece.length);
      column += piece.length;
    }
    rows[row] ??= "";
  }
  return rows.map((line) => line.trimEnd()).filter((line) => line !== "");
}

test.skipIf(!hasScript)("the view redraws, log lines stand above it in order, and a summary stays", async () => {
  const output = await onTerminal(100);
  const percentages = [...output.matchAll(/(\d+\.\d) %/g)].map(([, percent]) => percent);
  expect(percentages).toEqual(expect.arrayContaining(["10.0", "50.0", "90.0"]));
  const shown = screen(output).map((line) => line.replace(/^\d\d:\d\d:\d\d /, ""));
  expect(shown).toEqual([
    "info  before",
    "info  between",
    expect.stringMatching(/^10 copied, 0 skipped, 0 failed, 10 MB in [\d.]+ s \([\d.]+ MB\/s\), 0 retries$/),
    "info  after",
  ]);
});

test.skipIf(!hasScript)("on a narrow terminal lines are cut, and without colours there are none", async () => {
  const output = await onTerminal(20, { NO_COLOR: "1" });
  expect(output).not.toMatch(new RegExp(`${ESC}\\[[\\d;]*m`));
  const drawn = stripVTControlCharacters(output).split(/[\r\n]+/);
  const view = drawn.filter((line) => /^copying|^waiting|MB of/.test(line));
  expect(view.length).toBeGreaterThan(3);
  for (const line of view) expect(line.length).toBeLessThanOrEqual(20);
  expect(screen(output).filter((line) => line.startsWith("copying"))).toEqual([]);
});
