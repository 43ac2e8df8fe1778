import { expect, test } from "vitest";
import { sentInAll, sentPerSecond } from "../../bench/server/sent.ts";

test("bytes count in the second in which they were sent, from the beginning of the first answer; a second that is not whole does not", () => {
  const log = "100.500 0.500 10\n101.000 0.000 20\n101.500 0.000 30\n102.001 0.000 40\n";
  expect(sentPerSecond(log)).toEqual([30, 30]);
  expect(sentInAll(log)).toBe(100);
});

test("an answer that took long is spread over the seconds that it took", () => {
  const [first = 0, second = 0, third = 0] = sentPerSecond("13.000 3.000 300\n10.500 0.100 50\n");
  expect(first).toBeCloseTo(150);
  expect(second).toBeCloseTo(100);
  expect(third).toBeCloseTo(100);
});

test("nothing sent is no second, and what is no line of the log is said", () => {
  expect(sentPerSecond("")).toEqual([]);
  expect(() => sentInAll("12.3 GET\n")).toThrow("not a line");
});
