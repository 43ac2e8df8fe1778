import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { compareTree } from "../emulator/compare-tree.ts";
import { MemoryContent } from "../emulator/content.ts";
import { Bucket } from "../emulator/object-store.ts";

const demo = fileURLToPath(new URL("../emulator/demo.ts", import.meta.url));
const program = fileURLToPath(new URL("../../src/cli.ts", import.meta.url));

async function withDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "oss-populator-readme-"));
  try {
    await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Runs the demo with `directory` for temporary files and variables that would lead it astray. */
async function runDemo(directory: string, entry: string) {
  const child = spawn(process.execPath, [demo, entry], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, TMPDIR: directory, OSS_POPULATOR_BUCKET: "another", http_proxy: "http://127.0.0.1:9" },
  });
  const outputs = Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await once(child, "close");
  const [stdout, stderr] = await outputs;
  return { code, stdout, stderr };
}

test("the demo copies its data set, proves every byte, prints the report and leaves nothing behind", async () => {
  await withDirectory(async (directory) => {
    const { code, stdout, stderr } = await runDemo(directory, program);
    expect(code, stderr).toBe(0);
    const [, json = ""] = /\nReport of populate\n(\{\n.*?\n\})\n/s.exec(stdout) ?? [];
    const report: unknown = JSON.parse(json);
    expect(report).toMatchObject({ outcome: "complete", exitCode: 0, objects: { failed: 0, skipped: 0 } });
    expect(stdout).toMatch(/^Copied {4}5,015 objects, 580\.8 MB in /m);
    expect(stdout).toMatch(/^Compared {2}5,014 files and 32 directories, 580\.8 MB: every byte is the same$/m);
    expect(stderr).toContain('"event":"listing complete"');
    expect(await readdir(directory)).toEqual([]);
  });
}, 180_000);

test("the demo fails with a sentence when the program does, and leaves nothing behind", async () => {
  await withDirectory(async (directory) => {
    const temporary = join(directory, "temporary");
    await mkdir(temporary);
    const liar = join(directory, "liar.js");
    await writeFile(liar, "process.exitCode = 5;");
    const broken = await runDemo(temporary, liar);
    expect(broken.code).toBe(1);
    expect(broken.stderr).toContain("The demo failed: populate ended with exit code 5 instead of 0");
    expect(await readdir(temporary)).toEqual([]);
  });
});

test("the demo does not believe a program that says it copied and did not", async () => {
  await withDirectory(async (directory) => {
    const temporary = join(directory, "temporary");
    await mkdir(temporary);
    const liar = join(directory, "liar.js");
    const line = 'require("fs").writeFileSync(process.argv[process.argv.indexOf("--report") + 1], "{}");';
    await writeFile(liar, line);
    const { code, stderr } = await runDemo(temporary, liar);
    expect(code).toBe(1);
    expect(stderr).toContain('The demo failed: the volume is not what the bucket holds:\n  "empty.bin" is missing');
  });
});

test("a comparison of a tree tells every way in which it can differ", async () => {
  await withDirectory(async (directory) => {
    const bucket = new Bucket("b", false);
    const big = Buffer.alloc(2_500_000, 7);
    const objects = { "p/same": big, "p/changed": big, "p/short": "12345", "p/missing": "", "p/link": "x", "q/no": "" };
    for (const [key, data] of Object.entries(objects)) bucket.put(key, new MemoryContent(Buffer.from(data)));
    bucket.put("p/empty/", new MemoryContent(Buffer.alloc(0)));
    await writeFile(join(directory, "same"), big);
    await mkdir(join(directory, "empty"));
    const changed = Buffer.from(big);
    changed[2_000_001] = 8;
    await writeFile(join(directory, "changed"), changed);
    await writeFile(join(directory, "short"), "1234");
    await writeFile(join(directory, "extra"), "");
    await symlink("same", join(directory, "link"));
    const { differences } = await compareTree(bucket, "p/", directory);
    expect(differences.toSorted()).toEqual([
      '"changed" differs from its object between bytes 1048576 and 2097152',
      '"extra" is no object of the bucket',
      '"link" is a special file',
      '"missing" is missing',
      '"short" has 4 bytes, the object 5',
    ]);
    await rm(join(directory, "extra"));
    bucket.delete("p/missing");
    bucket.delete("p/link");
    await rm(join(directory, "link"));
    await writeFile(join(directory, "changed"), big);
    await writeFile(join(directory, "short"), "12345");
    const counts = { files: 3, directories: 1, bytes: 5_000_005 };
    expect(await compareTree(bucket, "p/", directory)).toEqual({ ...counts, differences: [] });
  });
});
