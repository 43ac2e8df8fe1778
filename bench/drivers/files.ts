/**
 * Makes small files with the calls that the product makes for each, some at a time, and does nothing else: `node files.ts
 * FOLDER FILES BYTES AT_ONCE`; prints JSON.
 */
process.env.UV_THREADPOOL_SIZE ??= "64"; // as in the product

import { constants, mkdirSync } from "node:fs";
import { dressFilePooled, pooled } from "../../src/volume/pooled.ts";

const [folder = "", files, bytes, atOnce] = process.argv.slice(2);
const content = Buffer.alloc(Number(bytes), 1);
const count = Number(files);
const filesPerDirectory = 1000;
const attributes = { fileMode: 0o644, dirMode: 0o755 };
const nothingLacks = { mode: false, owner: false };
let next = 0;

async function make(index: number): Promise<void> {
  const path = `${folder}/${Math.floor(index / filesPerDirectory)}/${index}`;
  const descriptor = await pooled.open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o644);
  await pooled.write(descriptor, content, 0, content.length, 0);
  await dressFilePooled(descriptor, attributes, nothingLacks, 1_700_000_000_000);
  await pooled.close(descriptor);
}

async function lane(): Promise<void> {
  while (next < count) await make(next++);
}

const started = process.hrtime.bigint();
const before = process.cpuUsage();
for (let first = 0; first < count; first += filesPerDirectory) mkdirSync(`${folder}/${first / filesPerDirectory}`);
await Promise.all(Array.from({ length: Number(atOnce) }, lane));
const seconds = Number(process.hrtime.bigint() - started) / 1e9;
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({ seconds, cpuSeconds: (user + system) / 1e6, objects: count }));
