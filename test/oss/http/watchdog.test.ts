import { describe, expect, test } from "vitest";
import type { CopyError } from "../../../src/errors.ts";
import { Watch } from "../../../src/oss/http/watchdog.ts";

const limits = { stallMs: 3_000, minBytesPerSecond: 1_000, speedWindowMs: 30_000 };

function watched() {
  const failures: CopyError[] = [];
  const watch = new Watch((error) => failures.push(error));
  const pass = (seconds: number, bytesPerSecond: number): void => {
    for (let i = 0; i < seconds; i++) {
      if (bytesPerSecond > 0) watch.received(bytesPerSecond);
      watch.tick(1_000, limits);
    }
  };
  return { watch, failures, pass };
}

describe("a watched request", () => {
  test("fails after the stall time without a byte, counted from the last one", () => {
    const { failures, pass } = watched();
    pass(3, 2_000);
    pass(2, 0);
    pass(1, 2_000);
    pass(2, 0);
    expect(failures).toEqual([]);
    pass(1, 0);
    expect(failures.map(({ kind, message }) => [kind, message])).toEqual([["interrupted", "no byte for 3 s"]]);
  });

  test("is too slow if it was below the minimum over the whole window, and only then", () => {
    const { failures, pass } = watched();
    pass(15, 500);
    pass(15, 1_500);
    pass(29, 999);
    expect(failures).toEqual([]);
    pass(1, 999);
    expect(failures.map(({ message }) => message)).toEqual(["too slow: 999 bytes/s over 30 s, less than 1000 bytes/s"]);
  });

  test("does not age while it is paused", () => {
    const { watch, failures, pass } = watched();
    // The first tick begins with the request itself, a sign of life.
    pass(3, 0);
    watch.pause();
    pass(1_000, 0);
    watch.resume();
    // The tick in which it was resumed does not count.
    pass(1, 0);
    expect(failures).toEqual([]);
    pass(1, 0);
    expect(failures.length).toBe(1);
  });

  test("shows life by bytes that are not of the body", () => {
    const { watch, failures } = watched();
    for (let i = 0; i < 10; i++) {
      watch.received(0);
      watch.tick(1_000, limits);
    }
    expect(failures).toEqual([]);
  });
});
