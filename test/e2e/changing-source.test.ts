import { mkdir, readdir, rm } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { Emulator } from "../emulator/server.ts";
import { chanceOf, inRounds, soakSeconds, soakTimeout } from "../support/soak.ts";
import { History } from "./support/history.ts";
import { runHere, sigterm } from "./support/in-process.ts";
import { bucketName, credentials } from "./support/scene.ts";
import { makeScratch } from "./support/scratch.ts";
import { differencesFrom } from "./support/tree.ts";

const mib = 2 ** 20;
const prefix = "data/";
const verbs = ["populate", "copy"] as const;
const transports = ["socket", "undici"] as const;

async function openEmulator(): Promise<Emulator> {
  const { ALIBABA_CLOUD_ACCESS_KEY_ID: accessKeyId, ALIBABA_CLOUD_ACCESS_KEY_SECRET: accessKeySecret } = credentials;
  const emulator = await Emulator.start({ buckets: [bucketName], credentials: [{ accessKeyId, accessKeySecret }] });
  emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 60, sizeBytes: { min: 0, max: 9000 } });
  emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 3, sizeBytes: 2 * mib + 4097 });
  emulator.addFaults({ kind: "delay", ms: 8, operation: "get" });
  return emulator;
}

interface Changing extends AsyncDisposable {
  readonly changes: number;
}

/** Overwrites, deletes, makes and brings back objects, until it is disposed of. */
function keepChanging(emulator: Emulator, random: () => number): Changing {
  const bucket = emulator.bucket(bucketName);
  const keys = [...bucket.keys(prefix)];
  const stop = new AbortController();
  let changes = 0;
  const change = (): void => {
    const key = keys[Math.floor(random() * keys.length)] ?? "";
    const size = Math.floor(random() * (key.includes("large") ? 3 * mib : 9000));
    const what = random();
    changes++;
    if (what < 0.5) bucket.replace(key);
    else if (what < 0.7) bucket.replace(key, size);
    else if (what < 0.8) bucket.delete(key);
    else if (what < 0.9) emulator.putObject(bucketName, key, Buffer.alloc(size, `${changes} `));
    else emulator.putObject(bucketName, `${prefix}new/${changes}`, `new ${changes}`);
  };
  const changing = (async () => {
    while (!stop.signal.aborted) {
      change();
      await setTimeout(1 + random() * 40);
    }
  })();
  return {
    get changes() {
      return changes;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await changing;
    },
  };
}

test.concurrent("while objects are overwritten, deleted and made, every file is one version that existed, between runs as well", {
  timeout: soakTimeout,
}, async () => {
  await using scratch = await makeScratch();
  const ends = new Map<number, number>();
  await inRounds(2, async (seed) => {
    const random = chanceOf(seed);
    const verb = verbs[seed % 2] ?? "copy";
    const transport = transports[(seed >> 1) % 2] ?? "socket";
    const target = `${scratch.path}/${seed}`;
    await mkdir(target);
    await using emulator = await openEmulator();
    const history = new History(emulator.bucket(bucketName), prefix);
    const args = ["--transport", transport, "--concurrency", "8", "--part-size", "256KiB", "--retries", "5"];
    const go = (signal?: AbortSignal) =>
      runHere({ emulator, verb, target, args, speed: 20, ...(signal && { signal }) });
    const expectRight = async (exitCode: number): Promise<void> => {
      ends.set(exitCode, (ends.get(exitCode) ?? 0) + 1);
      if (exitCode === 0) expect(await history.faultsOf(target)).toEqual([]);
      else if (verb === "copy") expect(await history.wrongFiles(target)).toEqual([]);
    };
    {
      await using changing = keepChanging(emulator, random);
      for (let runs = 0; runs < 3; runs++) {
        const stop = new AbortController();
        const reason = await sigterm();
        const stopping = random() < 0.5 ? globalThis.setTimeout(() => stop.abort(reason), random() * 600) : undefined;
        const { report, stack } = await go(stop.signal);
        clearTimeout(stopping);
        expect([report.exitCode, report.reason, stack]).toEqual([
          expect.toBeOneOf([0, 4, 6, 143]),
          expect.any(String),
          undefined,
        ]);
        await expectRight(report.exitCode);
        // A volume that is full without our state is somebody's already.
        if (report.exitCode === 0 && verb === "populate") break;
      }
      expect(changing.changes).toBeGreaterThan(3);
    }
    emulator.clearFaults();
    if (verb === "populate" && (await isPublished(target))) {
      await rm(target, { recursive: true });
      return;
    }
    const { report } = await go();
    expect([report.exitCode, report.reason]).toEqual([0, expect.any(String)]);
    await expectRight(0);
    if (verb === "copy")
      expect(ofPresent(await differencesFrom(emulator.bucket(bucketName), target, { prefix }))).toEqual([]);
    await rm(target, { recursive: true });
  });
  if (soakSeconds > 0) console.log(`exit codes: ${JSON.stringify([...ends])}`);
});

async function isPublished(target: string): Promise<boolean> {
  const names = await readdir(target);
  return names.length > 0 && !names.includes(".oss-populator");
}

/** A copy deletes nothing, also not what has gone from the bucket. */
function ofPresent(differences: readonly string[]): string[] {
  return differences.filter((line) => !line.endsWith("not in the bucket"));
}

for (const [verb, transport] of [
  ["populate", "socket"],
  ["copy", "undici"],
] as const) {
  test.concurrent(`an object that is deleted between two of its ranges fails alone under ${verb}, by ${transport}`, async () => {
    await using scratch = await makeScratch();
    await using emulator = await openEmulator();
    const key = "data/large/0001";
    const bucket = emulator.bucket(bucketName);
    const seen = setIntervalUntil(
      () => emulator.requests.filter((request) => request.key === key).length > 2,
      () => bucket.delete(key),
    );
    const args = ["--transport", transport, "--concurrency", "2", "--part-size", "256KiB"];
    const target = await scratch.directory("target");
    const { report } = await runHere({ emulator, verb, target, args, speed: 20 });
    seen.stop();
    expect(report.exitCode).toBe(4);
    expect(report.failures).toMatchObject([{ key, kind: "missing" }]);
    expect(report.reason).toContain(key);

    const again = await runHere({ emulator, verb, target, args, speed: 20 });
    expect(again.report.exitCode).toBe(0);
    const differences = await differencesFrom(bucket, target, { prefix });
    expect(differences).toEqual([]);
  });
}

function setIntervalUntil(isSo: () => boolean, act: () => void): { stop(): void } {
  const timer = setInterval(() => {
    if (!isSo()) return;
    clearInterval(timer);
    act();
  }, 1);
  return { stop: () => clearInterval(timer) };
}
