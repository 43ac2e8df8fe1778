import { expect, test } from "vitest";
import { ShownProgress } from "../../src/run/shown-progress.ts";

test("nothing is shown before it is known what an earlier run has shown, and never less than that after", () => {
  const shown = new ShownProgress();
  expect(shown.show(12)).toBeUndefined();
  shown.begin(40);
  expect([shown.show(12), shown.show(41), shown.show(39)]).toEqual([40, 41, 41]);
});

test("what is shown is kept, one write at a time, and only when it has grown", async () => {
  const shown = new ShownProgress();
  const saved: number[] = [];
  let written = Promise.withResolvers<void>();
  shown.begin(10);
  shown.show(11);
  shown.keepBy((percent) => {
    saved.push(percent);
    return written.promise;
  });
  shown.show(11);
  for (const percent of [11, 12, 13]) shown.show(percent);
  expect(saved).toEqual([11]);
  written.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  written = Promise.withResolvers();
  shown.show(13);
  shown.show(13);
  expect(saved).toEqual([11, 13]);
  written.reject(new Error("the disk is full"));
  await new Promise((resolve) => setImmediate(resolve));
  shown.show(14);
  expect(saved).toEqual([11, 13, 14]);
});

test("once it is to be forgotten nothing is kept any more, and what is under way has ended", async () => {
  const shown = new ShownProgress();
  const saved: number[] = [];
  const written = Promise.withResolvers<void>();
  shown.begin(0);
  shown.keepBy((percent) => {
    saved.push(percent);
    return written.promise;
  });
  shown.show(1);
  let forgotten = false;
  const forgetting = shown.forget().then(() => {
    forgotten = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(forgotten).toBe(false);
  written.resolve();
  await forgetting;
  expect(shown.show(100)).toBe(100);
  expect(saved).toEqual([1]);
});
