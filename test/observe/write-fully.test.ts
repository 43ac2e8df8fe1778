import { execFileSync } from "node:child_process";
import { closeSync, constants, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createLogDestination } from "../../src/observe/log.ts";
import { writeFully } from "../../src/observe/write-fully.ts";
import { temporaryFolder } from "./support.ts";

/** A pipe that refuses what does not fit instead of blocking. */
async function impatientPipe() {
  const folder = await temporaryFolder();
  const path = join(folder.path, "pipe");
  execFileSync("mkfifo", [path]);
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  return {
    fd,
    async [Symbol.asyncDispose]() {
      closeSync(fd);
      await folder[Symbol.asyncDispose]();
    },
  };
}

function drain(fd: number): string {
  const bytes = Buffer.alloc(1 << 20);
  return bytes.toString("latin1", 0, readSync(fd, bytes));
}

test("a reader that does not read costs no more than the patience", async () => {
  await using pipe = await impatientPipe();
  const started = performance.now();
  const written = writeFully(pipe.fd, Buffer.alloc(1 << 20), 50);
  expect(performance.now() - started).toBeGreaterThanOrEqual(40);
  expect(written).toBeGreaterThan(0);
  expect(written).toBeLessThan(1 << 20);
});

test("after a congestion the log goes on with a whole line", async () => {
  await using pipe = await impatientPipe();
  const destination = createLogDestination(pipe.fd);
  destination.write(`${"x".repeat(1 << 20)}\n`);
  destination.write("lost\n");
  expect(drain(pipe.fd)).toMatch(/^x+$/);
  destination.write("after\n");
  expect(drain(pipe.fd)).toBe("\nafter\n");
});
