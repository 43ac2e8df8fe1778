import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createLogDestination, createLogger, type LoggerOptions } from "../../src/observe/log.ts";
import { temporaryFolder } from "./support.ts";

async function collecting(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = [];
  const logger = createLogger({
    format: "json",
    level: "debug",
    secrets: () => [],
    destination: { write: (text) => lines.push(text) },
    ...options,
  });
  return { logger, lines };
}

test("an event is one line of JSON with time, level and fields", async () => {
  const { logger, lines } = await collecting();
  logger.info("listing complete", { objects: 5003, missing: undefined });
  expect(lines).toHaveLength(1);
  expect(lines[0]?.endsWith("}\n")).toBe(true);
  const record = JSON.parse(lines[0] ?? "");
  expect(record).toEqual({ time: expect.any(String), level: "info", event: "listing complete", objects: 5003 });
  expect(new Date(record.time).toISOString()).toBe(record.time);
});

test("what is below the level is not written", async () => {
  const { logger, lines } = await collecting({ level: "warn" });
  logger.debug("a");
  logger.info("b");
  logger.warn("c");
  logger.error("d");
  expect(lines.map((line) => JSON.parse(line).level)).toEqual(["warn", "error"]);
});

test("the text format is for people", async () => {
  const { logger, lines } = await collecting({ format: "text" });
  logger.info("listing complete", {
    objects: 5003,
    listedBytes: 1_234_567_890,
    durationSeconds: 192,
    port: 19090,
    path: "a b",
    key: "plain",
    nested: { a: [1, null] },
  });
  expect(lines[0]).toMatch(
    /^\d\d:\d\d:\d\d info {2}listing complete objects=5,003 listedBytes=1.23 GB durationSeconds=3m 12s port=19090 path="a b" key=plain nested=\{"a":\[1,null\]\}\n$/,
  );
});

test("colours come only when asked for", async () => {
  const plain = await collecting({ format: "text" });
  plain.logger.error("x", { a: 1 });
  expect(plain.lines[0]).not.toContain("\u001b");
  const coloured = await collecting({ format: "text", colours: true });
  coloured.logger.error("x", { a: 1 });
  expect(coloured.lines[0]).toContain("\u001b[31merror");
});

const nasty = "a\u001b[31m\nb\rc\u0000\u007f\u009b\u2028\u202e\ud800";

test.each(["json", "text"] as const)("no value can steer a terminal or forge a line of %s", async (format) => {
  const { logger, lines } = await collecting({ format });
  logger.warn(nasty, { key: nasty, [nasty]: 1, deep: { [nasty]: [nasty] } });
  const line = lines.join("");
  expect(line.trimEnd()).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u);
  expect(line.isWellFormed()).toBe(true);
  if (format === "json") expect(JSON.parse(line).key).toBe(nasty);
});

test("a stack follows its line in the text format, escaped line by line", async () => {
  const { logger, lines } = await collecting({ format: "text" });
  logger.error("defect", { stack: "Error: x\u001b\n    at f" });
  expect(lines[0]).toMatch(/ defect\n {2}Error: x\\u001b\n {6}at f\n$/);
});

test("known secrets are in no event, field name, nested value or error", async () => {
  const { logger, lines } = await collecting({ secrets: () => ["s3cr3t-value"] });
  const error = new Error("refused s3cr3t-value", { cause: new Error("cause s3cr3t-value") });
  logger.error("with s3cr3t-value", { error, "s3cr3t-value": 1, deep: [{ token: "s3cr3t-value" }], big: 12n });
  expect(lines[0]).not.toContain("s3cr3t");
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    error: "refused [redacted]: cause [redacted]",
    deep: [{ token: "[redacted]" }],
    big: "12",
  });
});

test("fields do not shadow time, level and event", async () => {
  const { logger, lines } = await collecting();
  logger.info("real", { event: "forged", level: "error", time: 0 });
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ event: "real", level: "info", event_: "forged", level_: "error" });
});

test("lines of the destination reach their descriptor at once", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "log");
  const fd = openSync(path, "w");
  createLogDestination(fd).write("one\n");
  expect(readFileSync(path, "utf8")).toBe("one\n");
  closeSync(fd);
});

test("a reader that goes away neither stops nor ends the process", async () => {
  const program = `
    const { createLogger, createLogDestination } = await import(${JSON.stringify(import.meta.resolve("../../src/observe/log.ts"))});
    const logger = createLogger({ format: "json", level: "info", secrets: () => [], destination: createLogDestination() });
    process.stdin.on("data", () => {
      for (let i = 0; i < 1000; i++) logger.info("line", { i });
      process.stdout.write("survived");
      process.exitCode = 42;
      process.stdin.destroy();
    });
    logger.info("ready");`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program]);
  await once(child.stderr, "data");
  child.stderr.destroy();
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  child.stdin.write("go\n");
  const [code] = await once(child, "close");
  expect(output).toBe("survived");
  expect(code).toBe(42);
});
