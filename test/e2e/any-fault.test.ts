import { mkdir, rm } from "node:fs/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Fault, type FaultAction, type FaultMatch, faultKinds } from "../emulator/faults.ts";
import { Emulator } from "../emulator/server.ts";
import { soakSeconds, soakTimeout } from "../support/soak.ts";
import { History } from "./support/history.ts";
import { runHere } from "./support/in-process.ts";
import { bucketName, credentials } from "./support/scene.ts";
import { makeScratch } from "./support/scratch.ts";

const mib = 2 ** 20;
const bytes = fc.oneof(fc.nat(100), fc.nat(6000), fc.nat(3 * mib));

/** Every kind of fault; a kind without its arbitrary does not compile. */
const actions: { readonly [K in FaultAction["kind"]]: fc.Arbitrary<Extract<FaultAction, { kind: K }>> } = {
  delay: fc.record({ kind: fc.constant("delay"), ms: fc.nat(60) }),
  status: fc.record({
    kind: fc.constant("status"),
    status: fc.constantFrom(204, 302, 304, 400, 403, 404, 408, 412, 416, 429, 500, 502, 503),
    ossCode: fc.constantFrom(
      "NoSuchKey",
      "AccessDenied",
      "InternalError",
      "SecurityTokenExpired",
      "InvalidObjectState",
    ),
    retryAfter: fc.constantFrom(0, 1, "nonsense"),
  }),
  reset: fc.record({ kind: fc.constant("reset") }),
  resetAfter: fc.record({ kind: fc.constant("resetAfter"), bytes }),
  truncateAt: fc.record({ kind: fc.constant("truncateAt"), bytes }),
  extraBytes: fc.record({
    kind: fc.constant("extraBytes"),
    bytes: fc.integer({ min: 1, max: 9000 }),
    announced: fc.boolean(),
  }),
  flipBit: fc.record({ kind: fc.constant("flipBit"), at: bytes }),
  changeEtag: fc.record({
    kind: fc.constant("changeEtag"),
    when: fc.constantFrom("before", "after"),
    sizeBytes: fc.oneof(fc.nat(9000), fc.nat(3 * mib)),
  }),
  ignoreRange: fc.record({ kind: fc.constant("ignoreRange") }),
  wrongContentRange: fc.record({ kind: fc.constant("wrongContentRange"), by: fc.integer({ min: 1, max: 4096 }) }),
  drip: fc.record({ kind: fc.constant("drip"), bytesPerSecond: fc.integer({ min: 30_000, max: 3_000_000 }) }),
  repeatedToken: fc.record({ kind: fc.constant("repeatedToken") }),
  cutXml: fc.record({ kind: fc.constant("cutXml") }),
  stall: fc.record({ kind: fc.constant("stall"), afterBytes: bytes }),
  garbageHead: fc.record({ kind: fc.constant("garbageHead") }),
  hugeHeader: fc.record({ kind: fc.constant("hugeHeader"), bytes: fc.constantFrom(1000, 60_000, 200_000) }),
  wrongLength: fc.record({ kind: fc.constant("wrongLength"), missingBytes: fc.integer({ min: 1, max: 5000 }) }),
  header: fc.record({
    kind: fc.constant("header"),
    name: fc.constantFrom("ETag", "Last-Modified", "Content-Range", "Connection", "x-oss-object-type"),
    value: fc.constantFrom(null, "", "x", "close", '"\u009b31m"'),
  }),
};

const times = fc.constantFrom(1, 1, 1, 2, 3, 20);
const every = fc.integer({ min: 1, max: 4 });
/** Which requests it hits: any position, some more than once, some for ever. Listings and heads are few. */
const match = fc.oneof(
  { weight: 2, arbitrary: fc.record({ operation: fc.constant("list"), nth: fc.constantFrom(1, 1, 2), times }) },
  { weight: 1, arbitrary: fc.record({ operation: fc.constant("head"), nth: fc.constantFrom(1, 2), times, every }) },
  {
    weight: 6,
    arbitrary: fc.record({
      operation: fc.constant("get"),
      keyPattern: fc.constantFrom("large", "small", "small/0*3$", "whole", "."),
      nth: fc.integer({ min: 1, max: 6 }),
      times,
      every,
    }),
  },
) as fc.Arbitrary<FaultMatch>;
const fault: fc.Arbitrary<Fault> = fc
  .tuple(fc.oneof(...Object.values(actions)), match)
  .map(([action, where]) => ({ ...where, ...action }));

const schedule = fc.record({
  faults: fc.array(fault, { minLength: 1, maxLength: 8 }),
  verb: fc.constantFrom("populate" as const, "copy" as const),
  transport: fc.constantFrom("socket", "socket", "undici"),
  retries: fc.constantFrom(1, 8),
  threads: fc.constantFrom(1, 1, 2),
});
type Schedule = typeof schedule extends fc.Arbitrary<infer S> ? S : never;

/** An object is replaced, and the look at its new version tells a wrong length, which goes into the checkpoint. */
const lyingHead: Schedule = {
  faults: [
    { operation: "head", nth: 1, kind: "wrongLength", missingBytes: 1 },
    { operation: "get", keyPattern: "large", nth: 1, kind: "changeEtag", when: "before", sizeBytes: 1 },
  ],
  verb: "populate",
  transport: "socket",
  retries: 1,
  threads: 1,
};

async function openEmulator(): Promise<Emulator> {
  const { ALIBABA_CLOUD_ACCESS_KEY_ID: accessKeyId, ALIBABA_CLOUD_ACCESS_KEY_SECRET: accessKeySecret } = credentials;
  const emulator = await Emulator.start({ buckets: [bucketName], credentials: [{ accessKeyId, accessKeySecret }] });
  emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 6, sizeBytes: { min: 0, max: 6000 } });
  emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 1, sizeBytes: 2 * mib + 4097 });
  emulator.putObject(bucketName, "data/empty/", "");
  emulator.putObject(bucketName, "data/whole", Buffer.alloc(300_000, "whole"));
  return emulator;
}

async function judge({ faults, verb, ...effort }: Schedule, target: string): Promise<number> {
  await using emulator = await openEmulator();
  const history = new History(emulator.bucket(bucketName), "data/");
  const { transport, retries, threads } = effort;
  const args = [
    ...["--transport", transport, "--retries", `${retries}`, "--threads", `${threads}`, "--part-size", "256KiB"],
    ...["--stall-timeout", "1s", "--concurrency", "6", "--retry-for", "5m"],
  ];
  const go = () => runHere({ emulator, verb, target, args, speed: 20 });
  emulator.addFaults(...faults);

  const { report, stack } = await go();

  const { exitCode, reason } = report;
  expect([exitCode, reason, stack]).toEqual([expect.toBeOneOf([0, 3, 4, 6, 7]), expect.any(String), undefined]);
  expect(reason).not.toMatch(/\p{Cc}|undefined|\[object/u);
  if (exitCode === 0) expect(await history.faultsOf(target)).toEqual([]);
  else if (verb === "copy") expect(await history.wrongFiles(target)).toEqual([]);
  emulator.clearFaults();
  // A published volume is nobody's to fill again.
  if (exitCode === 0 && (verb === "populate" || soakSeconds === 0)) return exitCode;

  const again = await go();

  expect([again.report.exitCode, again.report.reason]).toEqual([0, expect.any(String)]);
  expect(await history.faultsOf(target)).toEqual([]);
  return exitCode;
}

test("under any schedule of faults exit 0 means a right target, anything else no wrong file, and a rerun completes", {
  timeout: soakTimeout,
}, async () => {
  await using scratch = await makeScratch();
  const ends = new Map<number, number>();
  let runs = 0;
  const property = fc.asyncProperty(schedule, async (given) => {
    const target = `${scratch.path}/${++runs}`;
    await mkdir(target);
    const exitCode = await judge(given, target);
    ends.set(exitCode, (ends.get(exitCode) ?? 0) + 1);
    await rm(target, { recursive: true });
  });
  const examples: [Schedule][] = [[lyingHead]];
  const byTime = { interruptAfterTimeLimit: soakSeconds * 1000, markInterruptAsFailure: false };
  await fc.assert(
    property,
    soakSeconds > 0 ? { numRuns: Number.MAX_SAFE_INTEGER, ...byTime } : { numRuns: 8, examples },
  );
  if (soakSeconds > 0) console.log(`${runs} schedules, exit codes: ${JSON.stringify([...ends])}`);
});

test("schedules hold every kind of fault that the emulator has", () => {
  expect(Object.keys(actions).sort()).toEqual([...faultKinds].sort());
});
