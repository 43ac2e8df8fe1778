import fc from "fast-check";
import { expect, test } from "vitest";
import { backoffMs, isObjectsOwn, isOutage, verdicts } from "../../src/engine/retry.ts";
import { CopyError, errorKinds } from "../../src/errors.ts";

test("every kind has its verdict", () => {
  expect(verdicts).toEqual({
    unreachable: "retry",
    interrupted: "retry",
    protocol: "retry",
    server: "retry",
    throttled: "retry",
    outage: "fail-run",
    expired: "refresh",
    auth: "fail-run",
    credentials: "fail-run",
    identity: "fail-run",
    source: "fail-run",
    missing: "fail-object",
    rejected: "fail-object",
    changed: "restart-object",
    corrupt: "restart-object",
    different: "fail-object",
    unsupported: "fail-object",
    occupied: "fail-object",
    "volume-full": "fail-run",
    volume: "fail-run",
    busy: "fail-run",
  });
});

test("refusals of the whole run are no object's own, and neither is what is no CopyError", () => {
  const own = errorKinds.filter((kind) => isObjectsOwn(new CopyError(kind, "")));
  expect(errorKinds.filter((kind) => !own.includes(kind))).toEqual([
    "outage",
    "expired",
    "auth",
    "credentials",
    "identity",
    "source",
    "volume-full",
    "volume",
    "busy",
  ]);
  expect(isObjectsOwn(new Error("a bug"))).toBe(false);
  expect(isObjectsOwn(undefined)).toBe(false);
});

test("the wait doubles from 200 ms to 20 s, is fully jittered, and never undercuts Retry-After", () => {
  expect([0, 1, 2, 6, 7, 8, 1000].map((failures) => backoffMs(failures, 1))).toEqual([
    200, 400, 800, 12_800, 20_000, 20_000, 20_000,
  ]);
  expect(backoffMs(3, 0)).toBe(0);
  expect(backoffMs(3, 0.5)).toBe(800);
  fc.assert(
    fc.property(fc.nat(200), fc.double({ min: 0, max: 0.999, noNaN: true }), fc.nat(60_000), (n, random, floor) => {
      const waitMs = backoffMs(n, random, floor);
      expect(waitMs).toBeGreaterThanOrEqual(floor);
      expect(waitMs).toBeLessThanOrEqual(Math.max(floor, 20_000));
    }),
  );
});

test("only an endpoint that has answered can have an outage, and only by not being reachable", () => {
  expect(isOutage(new CopyError("unreachable", ""), true)).toBe(true);
  expect(isOutage(new CopyError("unreachable", ""), false)).toBe(false);
  expect(isOutage(new CopyError("server", ""), true)).toBe(false);
});
