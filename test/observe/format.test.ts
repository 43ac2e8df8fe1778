import { expect, test } from "vitest";
import { formatBytes, formatCount, formatDuration, formatPercent, formatRate } from "../../src/observe/format.ts";

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [0.4, "0 B"],
  [1000, "1 kB"],
  [1_234_567, "1.23 MB"],
  [999_999, "1 MB"],
  [5_000_000_000, "5 GB"],
  [Number.NaN, "?"],
])("%d bytes read %s", (bytes, text) => expect(formatBytes(bytes)).toBe(text));

test.each([
  [0, "0 ms"],
  [-1, "0 ms"],
  [0.85, "850 ms"],
  [0.9996, "1 s"],
  [12.34, "12.3 s"],
  [59.96, "1m 00s"],
  [192, "3m 12s"],
  [3599.6, "1h 00m"],
  [7500, "2h 05m"],
  [86_399.9, "1d 00h"],
  [273_600, "3d 04h"],
  [Number.POSITIVE_INFINITY, "?"],
])("%d seconds read %s", (seconds, text) => expect(formatDuration(seconds)).toBe(text));

test("counts have thousands separators, rates their second, and only the whole is 100 %", () => {
  expect([0, 7, 999, 1000, 10_211, 1_234_567, -1234, 999.5].map(formatCount)).toEqual([
    ...["0", "7", "999", "1,000", "10,211", "1,234,567", "-1,234", "1,000"],
  ]);
  expect(formatCount(Number.NaN)).toBe("?");
  expect(formatRate(50_000_000)).toBe("50 MB/s");
  expect(formatPercent(0.99999)).toBe("99.9 %");
  expect(formatPercent(1)).toBe("100.0 %");
});
