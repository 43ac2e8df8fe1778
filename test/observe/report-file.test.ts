import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { writeReport } from "../../src/observe/report-file.ts";
import { reportWith, temporaryFolder } from "./support.ts";

test("the report replaces the file as a whole and leaves nothing else", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "report.json");
  await writeFile(path, "x".repeat(100_000));
  const before = await stat(path);
  expect(await writeReport(reportWith(), path)).toBeUndefined();
  expect(JSON.parse(await readFile(path, "utf8"))).toEqual(reportWith());
  expect((await stat(path)).ino).not.toBe(before.ino);
  expect(await readdir(folder.path)).toEqual(["report.json"]);
});

test("a report that cannot be written is a warning, and the old one stays", async () => {
  await using folder = await temporaryFolder();
  const missing = join(folder.path, "no", "report.json");
  expect(await writeReport(reportWith(), missing)).toMatch(/^cannot write the report to .*no\/report\.json: ENOENT/);
  await mkdir(join(folder.path, "folder"));
  expect(await writeReport(reportWith(), join(folder.path, "folder"))).toMatch(/EISDIR/);
  expect(await readdir(folder.path)).toEqual(["folder"]);
});

test("a link to a report stays a link", async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "real"), "old");
  await symlink("real", join(folder.path, "link"));
  expect(await writeReport(reportWith(), join(folder.path, "link"))).toBeUndefined();
  expect(await readlink(join(folder.path, "link"))).toBe("real");
  expect(JSON.parse(await readFile(join(folder.path, "real"), "utf8")).exitCode).toBe(0);
});

test("the reader of a named pipe gets the report", async () => {
  await using folder = await temporaryFolder();
  const pipe = join(folder.path, "pipe");
  await promisify(execFile)("mkfifo", [pipe]);
  const [text, warning] = await Promise.all([readFile(pipe, "utf8"), writeReport(reportWith(), pipe)]);
  expect(warning).toBeUndefined();
  expect(JSON.parse(text).schema).toBe("oss-populator.report/v1");
});

test("a named pipe without a reader is given up, with a warning", { timeout: 30_000 }, async () => {
  await using folder = await temporaryFolder();
  const pipe = join(folder.path, "pipe");
  await promisify(execFile)("mkfifo", [pipe]);
  expect(await writeReport(reportWith(), pipe)).toBe(`cannot write the report to ${pipe}: nobody reads it`);
});

test("secrets and control characters of failures do not reach the report", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "report.json");
  const failure = { key: "a\u009b\nb", kind: "rejected", message: "token t0ps3cret", requestId: undefined };
  await writeReport(reportWith({ failures: [failure] }), path, (text) => text.replaceAll("t0ps3cret", "[redacted]"));
  const text = await readFile(path, "utf8");
  expect(text).not.toContain("\u009b");
  expect(JSON.parse(text).failures[0]).toEqual({ key: "a\u009b\nb", kind: "rejected", message: "token [redacted]" });
});

const program = `
  const { writeReport } = await import(${JSON.stringify(import.meta.resolve("../../src/observe/report-file.ts"))});
  const warning = await writeReport(JSON.parse(process.argv[1]), "-");
  process.stderr.write(warning ?? "fine");`;

test("a dash is standard output, complete even through a slow pipe", async () => {
  const failures = Array.from({ length: 100 }, (_, index) => ({
    key: `${index}`.padEnd(1000, "k"),
    kind: "rejected",
    message: "no",
    requestId: "r",
  }));
  const slowly = '"$0" --input-type=module -e "$1" "$2" | (sleep 0.3; cat)';
  const report = JSON.stringify(reportWith({ failures }));
  const { stdout, stderr } = await promisify(execFile)("sh", ["-c", slowly, process.execPath, program, report]);
  expect(JSON.parse(stdout).failures).toHaveLength(100);
  expect(stderr).toBe("fine");
});

test("standard output that nobody reads is a warning", async () => {
  const child = spawn(process.execPath, ["--input-type=module", "-e", program, JSON.stringify(reportWith())]);
  child.stdout.destroy();
  let warning = "";
  child.stderr.setEncoding("utf8").on("data", (chunk) => {
    warning += chunk;
  });
  const [code] = await once(child, "close");
  expect(code).toBe(0);
  expect(warning).toMatch(/^cannot write the report to standard output: EPIPE/);
});
