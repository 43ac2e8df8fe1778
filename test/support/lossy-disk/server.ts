/**
 * A disk with a volatile cache, in a process of its own: one file that the kernel mounts through FUSE and a loop device
 * lies on. Writes reach the durable image only with the next flush; until then a loss of power may keep any of them.
 * Arguments: the durable image, a copy of it for reading, and an empty file to mount at. Speaks over IPC.
 */
import { execFileSync, spawn } from "node:child_process";
import { closeSync, fstatSync, openSync, read, readSync, writeSync } from "node:fs";
import { promisify } from "node:util";
import { seededRandom } from "../fake-clock.ts";
import {
  attributesReply,
  dataOf,
  EIO,
  ENOSYS,
  type FuseRequest,
  initReply,
  opcodes,
  openReply,
  parseRequest,
  reply,
  requestBytes,
  transferOf,
  writeReply,
} from "./fuse-protocol.ts";
import type { DiskAnswer, DiskCommand } from "./messages.ts";

interface Write {
  readonly offset: number;
  readonly data: Buffer;
}

/** What a disk writes at once, whatever happens. */
const sectorBytes = 4096;

const [durablePath = "", livePath = "", mountPoint = ""] = process.argv.slice(2);
const durable = openSync(durablePath, "r+");
const live = openSync(livePath, "r+");
const { size } = fstatSync(live);
const fuse = openSync("/dev/fuse", "r+");
let unflushed: Write[] = [];
let flushes = 0;
let failing = false;

function write(file: number, { offset, data }: Write): void {
  for (let done = 0; done < data.length; ) done += writeSync(file, data, done, data.length - done, offset + done);
}

function handle({ opcode, unique, body }: FuseRequest): Buffer | undefined {
  switch (opcode) {
    case opcodes.init:
      return reply(unique, initReply(body));
    case opcodes.getattr:
      return reply(unique, attributesReply(size));
    case opcodes.open:
      return reply(unique, openReply());
    case opcodes.read:
      return reply(unique, readLive(body));
    case opcodes.write:
      return reply(unique, writeLive(body));
    case opcodes.fsync:
      return reply(unique, flush());
    case opcodes.flush:
    case opcodes.release:
    case opcodes.destroy:
      return reply(unique, Buffer.alloc(0));
    case opcodes.statfs:
      return reply(unique, Buffer.alloc(80));
    case opcodes.forget:
    case opcodes.batchForget:
    case opcodes.interrupt:
      return undefined;
    default:
      return reply(unique, ENOSYS);
  }
}

function readLive(body: Buffer): Buffer {
  const { offset, length } = transferOf(body);
  const data = Buffer.alloc(length);
  return data.subarray(0, readSync(live, data, 0, length, offset));
}

function writeLive(body: Buffer): Buffer | number {
  if (failing) return EIO;
  const transfer = transferOf(body);
  // The request's memory is used again.
  const data = Buffer.from(dataOf(body, transfer));
  const change = { offset: transfer.offset, data };
  write(live, change);
  unflushed.push(change);
  return writeReply(data.length);
}

function flush(): Buffer | number {
  if (failing) return EIO;
  for (const change of unflushed) write(durable, change);
  unflushed = [];
  flushes++;
  return Buffer.alloc(0);
}

/** What is on the disk after a loss of power now: of what was not flushed each sector may be there or not. */
function writeImage(path: string, seed: number): DiskAnswer {
  execFileSync("cp", ["--sparse=always", durablePath, path]);
  const random = seededRandom(seed);
  const odds = random();
  const image = openSync(path, "r+");
  let lost = 0;
  for (const { offset, data } of unflushed) {
    const torn = random() < 0.2;
    const kept = random() < odds;
    for (let at = 0; at < data.length; at += sectorBytes) {
      if (torn ? random() < odds : kept)
        write(image, { offset: offset + at, data: data.subarray(at, at + sectorBytes) });
      else lost++;
    }
  }
  closeSync(image);
  return { unflushed: unflushed.length, lost, flushes };
}

function obey(command: DiskCommand): void {
  if (command.kind === "fail") failing = true;
  const answer = command.kind === "image" ? writeImage(command.path, command.seed) : { unflushed: 0, lost: 0, flushes };
  process.send?.(answer);
}

async function serve(): Promise<void> {
  const readFuse = promisify(read);
  const memory = Buffer.allocUnsafe(requestBytes);
  for (;;) {
    let bytesRead: number;
    try {
      ({ bytesRead } = await readFuse(fuse, memory, 0, memory.length, null));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException; // what read(2) failed with
      if (code === "ENOENT" || code === "EINTR" || code === "EAGAIN") continue;
      return; // ENODEV: it was unmounted
    }
    const answer = handle(parseRequest(memory.subarray(0, bytesRead)));
    try {
      if (answer) writeSync(fuse, answer);
    } catch {
      // who asked was interrupted
    }
  }
}

function mount(): void {
  const options = "fd=3,rootmode=100644,user_id=0,group_id=0,allow_other";
  const child = spawn("mount", ["-i", "-t", "fuse", "-o", options, "lossy-disk", mountPoint], {
    stdio: ["ignore", "inherit", "inherit", fuse],
  });
  child.on("close", (code) => {
    if (code !== 0) process.exit(1);
    void serve().then(() => process.exit(0));
    process.send?.({ unflushed: 0, lost: 0, flushes });
  });
}

process.on("message", (command: DiskCommand) => obey(command));
process.on("disconnect", () => process.exit(0));
mount();
