/**
 * `npm run demo`: fills a directory from the emulator's demo set with the built program (or another, given as argument)
 * and proves the result twice, with `verify` and byte by byte against the emulator's own content. Exit 0 only if both
 * agree; leaves nothing behind.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compareTree, type TreeComparison } from "./compare-tree.ts";
import { addDemoSet } from "./demo-set.ts";
import { Bucket } from "./object-store.ts";
import { type Ready, startEmulatorProcess } from "./process.ts";

const program = process.argv[2] ?? fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const prefix = "dataset/";
const bytesPerMegabyte = 1_000_000;

/** The part of `oss-populator.report/v1` that the summary shows. */
interface Report {
  readonly durationSeconds: number;
  readonly objects: { readonly copied: number };
  readonly bytes: { readonly copied: number };
  readonly verified: { readonly crc64: number; readonly md5: number; readonly lengthOnly: number };
  readonly durability: string;
}

/** A result that is not what was promised; its message is for the reader of the demo. */
class DemoFailure extends Error {}

let running: ChildProcess | undefined;
let stopped: NodeJS.Signals | undefined;

async function demo(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "oss-populator-demo-"));
  try {
    await using emulator = await startEmulatorProcess(["--demo"]);
    const volume = join(directory, "volume");
    await mkdir(volume);
    say(`The emulator serves ${count(emulator.ready.objects)} objects at ${emulator.ready.url}.`);
    say(`\nFilling ${volume}`);
    const target = ["--bucket", emulator.ready.bucket, "--path", prefix, "--target", volume];
    const text = await runProgram("populate", target, emulator.ready, directory);
    say("\nComparing the checksums of all files with those of the objects");
    const audit = [`oss://${emulator.ready.bucket}/${prefix}`, volume];
    await runProgram("verify", audit, emulator.ready, directory);
    say("\nComparing all files byte by byte with the content of the emulator");
    const compared = await compareAll(volume);
    say(`\nReport of populate\n${text.trimEnd()}\n`);
    // Written by the program that has just ended with 0.
    say(summary(JSON.parse(text) as Report, compared));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Runs a verb to its end and returns its report; its log or live view goes to our standard error. */
async function runProgram(verb: string, args: readonly string[], ready: Ready, directory: string): Promise<string> {
  const report = join(directory, `${verb}.json`);
  const { url, region } = ready;
  const common = ["--endpoint", url, "--region", region, "--report", report, "--fail-hold", "0"];
  running = spawn(process.execPath, [program, verb, ...args, ...common], {
    stdio: ["ignore", "inherit", "inherit"],
    env: environment(ready),
  });
  const [code, signal] = await once(running, "close");
  running = undefined;
  if (stopped !== undefined) throw new DemoFailure(`stopped by ${stopped}`);
  if (code !== 0) throw new DemoFailure(`${verb} ended with ${signal ?? `exit code ${code}`} instead of 0`);
  return readFile(report, "utf8");
}

/** Ours, without what would lead the program elsewhere. */
function environment({ accessKeyId, accessKeySecret }: Ready): NodeJS.ProcessEnv {
  const foreign = /^(OSS_POPULATOR_|ALIBABA_?CLOUD_|(https?|all)_proxy$)/i;
  const kept = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  const keys = { ALIBABA_CLOUD_ACCESS_KEY_ID: accessKeyId, ALIBABA_CLOUD_ACCESS_KEY_SECRET: accessKeySecret };
  return { ...Object.fromEntries(kept), ...keys };
}

/** The same options give the same keys and bytes in every process, so the comparison does not pass through the server. */
async function compareAll(volume: string): Promise<TreeComparison> {
  const bucket = new Bucket("expected", false);
  addDemoSet(bucket, { prefix });
  const compared = await compareTree(bucket, prefix, volume);
  if (compared.differences.length > 0) {
    throw new DemoFailure(`the volume is not what the bucket holds:\n  ${compared.differences.join("\n  ")}`);
  }
  return compared;
}

function summary({ durationSeconds, objects, bytes, verified, durability }: Report, compared: TreeComparison): string {
  const rate = bytes.copied / bytesPerMegabyte / durationSeconds;
  return [
    `Copied    ${count(objects.copied)} objects, ${megabytes(bytes.copied)} in ${durationSeconds.toFixed(1)} s (${rate.toFixed(0)} MB/s), on stable storage by ${durability}`,
    `Verified  ${count(verified.crc64)} by CRC-64, ${count(verified.md5)} by MD5, ${count(verified.lengthOnly)} by length only`,
    `Compared  ${count(compared.files)} files and ${count(compared.directories)} directories, ${megabytes(compared.bytes)}: every byte is the same`,
  ].join("\n");
}

function count(value: number): string {
  return value.toLocaleString("en");
}

function megabytes(bytes: number): string {
  return `${(bytes / bytesPerMegabyte).toFixed(1)} MB`;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => {
    stopped = name;
    running?.kill(name);
  });
}

try {
  await demo();
} catch (error) {
  const text = error instanceof DemoFailure ? error.message : error instanceof Error ? error.stack : String(error);
  process.stderr.write(`\nThe demo failed: ${text}\n`);
  process.exitCode = 1;
}
