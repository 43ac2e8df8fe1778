import { symlink } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { Device, findDevice, headBytes } from "../../src/volume/device.ts";
import {
  DeviceStateKeeper,
  eraseDeviceState,
  readDeviceState,
  roomBesideState,
} from "../../src/volume/device-state.ts";
import { chooseDeviceState, parseDeviceState } from "../../src/volume/device-state-format.ts";
import { nextAttempt } from "../../src/volume/owner-format.ts";
import { attachLoop, canAttachLoop } from "../support/devices.ts";
import { failure, pageAligned, run, temporaryDirectory } from "./support.ts";

const mib = 2 ** 20;
const never = new AbortController().signal;

describe.skipIf(!canAttachLoop)("the size of a device", () => {
  it.each([
    [512, 512],
    [4096, 512],
    [8192, 4096],
    [65_536 + 1536, 512],
    [7 * mib - 4096, 4096],
    [2 ** 41 + 512, 512],
  ] as const)("of %i bytes is found by reading", async (sizeBytes, sectorSize) => {
    await using place = await temporaryDirectory();
    await using loop = await attachLoop(place.path, sizeBytes, { sectorSize });
    await using device = await Device.open(loop.path, "look");
    expect(device.sizeBytes).toBe(sizeBytes);
    expect(device.sizeBytes).toBe(Number((await run("blockdev", ["--getsize64", loop.path])).stdout));
  });
});

describe.skipIf(!canAttachLoop)("a device", () => {
  it("is one's own while it is being filled or looked at, but anybody may audit it", async () => {
    await using place = await temporaryDirectory();
    await using loop = await attachLoop(place.path, mib);
    await using _device = await Device.open(loop.path, "fill");
    expect((await failure("volume", () => Device.open(loop.path, "fill"))).message).toContain("is in use");
    await failure("volume", () => Device.open(loop.path, "look"));
    await using audited = await Device.open(loop.path, "audit");
    expect(audited.sizeBytes).toBe(mib);
  });

  it("is free again once it is closed", async () => {
    await using place = await temporaryDirectory();
    await using loop = await attachLoop(place.path, mib);
    for (let i = 0; i < 3; i++) {
      await using device = await Device.open(loop.path, "fill");
      expect(device.path).toBe(loop.path);
    }
  });

  it("gives back what was written, and zeros what is cleared, to its last block", async () => {
    await using place = await temporaryDirectory();
    await using loop = await attachLoop(place.path, 3 * mib + 512);
    await using device = await Device.open(loop.path, "fill");
    const bytes = pageAligned(16);
    for (const at of [0, mib, 2 * mib]) await device.write(bytes.subarray(0, mib), at);
    await device.write(pageAligned(1).subarray(0, 512), 3 * mib);
    await device.sync();
    expect(await loop.read(mib, mib)).toEqual(Buffer.from(pageAligned(16)));
    expect(await device.isZero({ start: 0, length: mib })).toBe(false);
    await device.clear({ start: mib + 4096, length: 2 * mib + 512 - 4096 }, never);
    expect(await device.isZero({ start: mib + 4096, length: 2 * mib })).toBe(true);
    expect(await loop.isZero(mib + 4096, 2 * mib)).toBe(true);
    expect(await loop.read(0, 4096)).toEqual(Buffer.from(pageAligned(1).subarray(0, 4096)));
  });

  it("is found through symlinks, and nothing else is one", async () => {
    await using place = await temporaryDirectory();
    await using loop = await attachLoop(place.path, mib);
    await symlink(loop.path, `${place.path}/link`);
    expect(await findDevice(`${place.path}/link`)).toBe(loop.path);
    for (const other of [place.path, `${place.path}/nothing`, "/dev/null"]) {
      expect(await findDevice(other)).toBeUndefined();
    }
  });
});

describe("the room for an object beside the state", () => {
  it("ends at a block, and there is none on a device whose end is its beginning", () => {
    expect(roomBesideState(8 * mib)).toBe(8 * mib - 65_536);
    expect(roomBesideState(8 * mib + 512)).toBe(8 * mib - 65_536);
    expect(roomBesideState(headBytes + 65_536)).toBe(headBytes);
    expect(roomBesideState(headBytes + 65_536 - 512)).toBe(0);
  });
});

describe.skipIf(!canAttachLoop)("the state on a device", () => {
  const fresh = {
    fingerprint: "f",
    source: "oss://b/k",
    startedEmpty: true,
    firstStartedAt: "2026-01-02T03:04:05.678Z",
  };

  it("is what was saved last, and gone once it is erased", async () => {
    await using place = await temporaryDirectory();
    await using loop = await attachLoop(place.path, 4 * mib, { sectorSize: 4096 });
    await using device = await Device.open(loop.path, "fill");
    expect(await readDeviceState(device)).toEqual({ status: "absent" });
    const begun = { owner: nextAttempt(fresh, undefined), checkpoint: undefined, reachBytes: 5, shownPercent: 0 };
    const keeper = await DeviceStateKeeper.begin(device, { status: "absent" }, begun);
    for (const [i, text] of ["one", "two ".repeat(4000), "three"].entries()) {
      await keeper.keep(text, i);
      expect(await readDeviceState(device)).toMatchObject({ state: { checkpoint: text, reachBytes: 5 } });
    }
    expect(await keeper.failed({ at: fresh.firstStartedAt, exitCode: 7, kind: "server", reason: "x" })).toBe(1);
    const reopened = await DeviceStateKeeper.reopen(device);
    const again = { at: fresh.firstStartedAt, exitCode: 7, kind: "server", reason: "\u0001".repeat(5000) };
    expect(await reopened?.failed(again)).toBe(2);
    expect(await readDeviceState(device)).toMatchObject({ state: { checkpoint: "three", finishing: false } });
    await eraseDeviceState(device);
    expect(await readDeviceState(device)).toEqual({ status: "absent" });
    expect(await DeviceStateKeeper.reopen(device)).toBeUndefined();
  });

  it("keeps what was shown, and the state before it until the next one is on stable storage", async () => {
    await using place = await temporaryDirectory();
    await using loop = await attachLoop(place.path, 4 * mib);
    await using device = await Device.open(loop.path, "fill");
    const begun = { owner: nextAttempt(fresh, undefined), checkpoint: "c", reachBytes: 0, shownPercent: 1.5 };
    const keeper = await DeviceStateKeeper.begin(device, { status: "absent" }, begun);
    const places = () =>
      Promise.all([0, 1].map((i) => loop.read(4 * mib - 65_536 + i * 32_768, 32_768).then(parseDeviceState)));
    await keeper.keep("durable", 0);
    const durable = chooseDeviceState(await places());
    for (const percent of [2.5, 3.25]) {
      await keeper.show(percent);
      expect(await readDeviceState(device)).toMatchObject({ state: { shownPercent: percent, checkpoint: "durable" } });
      expect(await places()).toContainEqual(durable);
    }
    await Promise.all([keeper.show(4), keeper.keep("next", 7), keeper.show(5)]);
    expect(await readDeviceState(device)).toMatchObject({
      state: { shownPercent: 5, checkpoint: "next", reachBytes: 7 },
    });
    const failure = { at: fresh.firstStartedAt, exitCode: 7, kind: "server", reason: "x" };
    expect(await (await DeviceStateKeeper.reopen(device))?.failed(failure)).toBe(1);
    expect(await readDeviceState(device)).toMatchObject({ state: { shownPercent: 5, checkpoint: "next" } });
  });

  it("that begins anew leaves nothing of the one before", async () => {
    await using place = await temporaryDirectory();
    await using loop = await attachLoop(place.path, 4 * mib);
    await using device = await Device.open(loop.path, "fill");
    const owner = nextAttempt(fresh, undefined);
    const first = await DeviceStateKeeper.begin(
      device,
      { status: "absent" },
      { owner, checkpoint: "c", reachBytes: 0, shownPercent: 0 },
    );
    await first.keep("vouches for what will be gone", 0);
    const found = await readDeviceState(device);
    await DeviceStateKeeper.begin(device, found, { owner, checkpoint: undefined, reachBytes: 0, shownPercent: 0 });
    const area = await loop.read(4 * mib - 65_536, 65_536);
    expect(area.includes("vouches")).toBe(false);
  });

  it("has room for the longest key, and knows what it has no room for", async () => {
    await using place = await temporaryDirectory();
    await using loop = await attachLoop(place.path, 4 * mib);
    await using device = await Device.open(loop.path, "fill");
    const owner = { ...nextAttempt(fresh, undefined), source: `oss://b/${"\u0001".repeat(1023)}` };
    const begun = { owner, checkpoint: undefined, reachBytes: 0, shownPercent: 0 };
    const keeper = await DeviceStateKeeper.begin(device, { status: "absent" }, begun);
    const key = JSON.stringify("\u0001".repeat(1023));
    expect(keeper.fits(`${key}${key}${"x".repeat(1000)}`)).toBe(true);
    expect(keeper.fits("x".repeat(32 * 1024))).toBe(false);
    await keeper.keep(`${key}${key}`, 0);
    await keeper.failed({ at: fresh.firstStartedAt, exitCode: 5, kind: "volume", reason: "\u0001".repeat(5000) });
    expect(await readDeviceState(device)).toMatchObject({ status: "ours" });
  });

  it("of a device of another size is not trusted", async () => {
    await using place = await temporaryDirectory();
    await using small = await attachLoop(place.path, 4 * mib);
    await using large = await attachLoop(place.path, 6 * mib);
    await using from = await Device.open(small.path, "fill");
    const owner = nextAttempt(fresh, undefined);
    await DeviceStateKeeper.begin(
      from,
      { status: "absent" },
      { owner, checkpoint: undefined, reachBytes: 0, shownPercent: 0 },
    );
    await large.write(6 * mib - 65_536, await small.read(4 * mib - 65_536, 65_536));
    await using to = await Device.open(large.path, "fill");
    expect(await readDeviceState(to)).toMatchObject({
      status: "damaged",
      reason: expect.stringContaining(`${4 * mib}`),
    });
  });
});
