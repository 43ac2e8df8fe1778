import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  chooseDeviceState,
  type DeviceState,
  type FoundDeviceState,
  parseDeviceState,
  stringifyDeviceState,
} from "../../src/volume/device-state-format.ts";

const folder = new URL("../fuzz/device-state/", import.meta.url);
const corpus = readdirSync(folder).map((name) => ({ name, bytes: readFileSync(new URL(name, folder)) }));

const sample: DeviceState = {
  sequence: 7,
  deviceBytes: 2 ** 40,
  finishing: false,
  reachBytes: 12_345,
  shownPercent: 12.34,
  owner: {
    fingerprint: "f".repeat(64),
    source: "oss://bucket/images/😀\u0001.img",
    startedEmpty: true,
    firstStartedAt: "2026-01-02T03:04:05.678Z",
    attempts: 3,
    lastFailure: { at: "2026-01-02T03:05:05.678Z", exitCode: 7, kind: "server", reason: "503", inARow: 2 },
  },
  checkpoint: "a checkpoint\nof two lines\n",
};

const written = (state: DeviceState): Buffer => Buffer.from(stringifyDeviceState(state));

test.each(corpus)("the corpus has $name", ({ name, bytes }) => {
  const found = parseDeviceState(bytes);
  expect(found.status).toBe(name.split("-")[0]);
  expectSound(found);
});

test("what is written is read again, whatever follows it", () => {
  for (const state of [sample, { ...sample, finishing: true, checkpoint: undefined }]) {
    for (const rest of [Buffer.alloc(0), Buffer.alloc(500), written({ ...sample, sequence: 1 })]) {
      expect(parseDeviceState(Buffer.concat([written(state), rest]))).toEqual({ status: "ours", state });
    }
  }
});

test("zeros are no state at all, and anything else that is not ours is foreign", () => {
  expect(parseDeviceState(Buffer.alloc(4096))).toEqual({ status: "absent" });
  expect(parseDeviceState(Buffer.from("EFI PART"))).toMatchObject({ status: "foreign" });
  expect(parseDeviceState(Buffer.concat([Buffer.alloc(100), Buffer.from("x")]))).toMatchObject({ status: "foreign" });
});

test("a state with any byte changed, or cut anywhere, is never taken for a whole one", () => {
  const bytes = written(sample);
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 1;
    expectRefused(parseDeviceState(changed));
    expectRefused(parseDeviceState(bytes.subarray(0, at)));
    // A write that was cut short ends in what was there before.
    expectRefused(parseDeviceState(Buffer.concat([bytes.subarray(0, at), Buffer.alloc(bytes.length - at)])));
  }
});

test("any bytes at all are refused in one sentence", () => {
  const bytes = fc.uint8Array({ maxLength: 300, size: "max" });
  const begun = bytes.map((rest) => Buffer.concat([Buffer.from("oss-populator.device/v1\n"), rest]));
  fc.assert(
    fc.property(fc.oneof(bytes, begun), (all) => {
      const found = parseDeviceState(all);
      expect(found.status).not.toBe("ours");
      expectSound(found);
    }),
    { numRuns: 2000 },
  );
});

test("of two states the newer one counts, and one that is of a later version more than both", () => {
  const ours = (sequence: number): FoundDeviceState => parseDeviceState(written({ ...sample, sequence }));
  const damaged = parseDeviceState(written(sample).subarray(0, 200));
  const foreign = parseDeviceState(Buffer.from("EFI PART"));
  const newer = parseDeviceState(Buffer.from("oss-populator.device/v2\n"));
  const absent = parseDeviceState(Buffer.alloc(8));
  for (const [places, expected] of [
    [[ours(7), ours(8)], ours(8)],
    [[ours(9), ours(8)], ours(9)],
    [[damaged, ours(8)], ours(8)],
    [[ours(8), foreign], ours(8)],
    [[ours(8), newer], newer],
    [[absent, damaged], damaged],
    [[foreign, damaged], damaged],
    [[absent, foreign], foreign],
    [[absent, absent], absent],
  ] as const) {
    expect(chooseDeviceState(places)).toEqual(expected);
  }
});

function expectRefused(found: FoundDeviceState): void {
  expect(found.status).not.toBe("ours");
  expectSound(found);
}

function expectSound(found: FoundDeviceState): void {
  if (found.status === "ours") expect(parseDeviceState(written(found.state))).toEqual(found);
  else if (found.status !== "absent")
    expect(found.reason).toMatch(/^the state at the end of the device [^\n]{10,120}$/);
}
