import { expect, test } from "vitest";
import { ShownProgress } from "../../src/run/shown-progress.ts";

/** A place to keep percentages in, whose writes end when the test says so. */
class SlowPlace {
  readonly begun: number[] = [];
  #last = Promise.withResolvers<void>();

  readonly keep = (percent: number): Promise<void> => {
    this.begun.push(percent);
    this.#last = Promise.withResolvers();
    return this.#last.promise;
  };

  end(error?: Error): void {
    if (error === undefined) this.#last.resolve();
    else this.#last.reject(error);
  }
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test("nothing is shown before it is known what an earlier run has shown, and never less than that after", async () => {
  const shown = new ShownProgress();
  expect(await shown.show(12)).toBeUndefined();
  expect(await shown.show(100)).toBe(100); // a success is known to be one
  shown.begin(40);
  expect([await shown.show(12), await shown.show(41), await shown.show(39)]).toEqual([40, 41, 41]);
});

test("what is to be kept is shown once it is kept, one write at a time", async () => {
  const shown = new ShownProgress();
  const place = new SlowPlace();
  shown.begin(10);
  shown.keepBy(place.keep);
  expect(await shown.show(10)).toBe(10);
  const looks = [11, 12, 13].map((percent) => shown.show(percent));
  await turn();
  expect(place.begun).toEqual([11]);
  place.end();
  expect(await Promise.all(looks)).toEqual([11, 11, 11]);
  const next = shown.show(13);
  place.end();
  expect([await next, place.begun]).toEqual([13, [11, 13]]);
});

test("what cannot be kept is not shown, but for the 100 of a success", async () => {
  const shown = new ShownProgress();
  const place = new SlowPlace();
  shown.begin(10);
  shown.keepBy(place.keep);
  const look = shown.show(50);
  place.end(new Error("the disk is full"));
  expect(await look).toBe(10);
  expect(await shown.show(60)).toBe(10); // and a disk that hangs holds it up for a moment only
  expect(place.begun).toEqual([50, 60]);
  expect(await shown.show(100)).toBe(100);
});

test("once it is to be forgotten nothing is kept any more, and what is under way has ended", async () => {
  const shown = new ShownProgress();
  const place = new SlowPlace();
  shown.begin(0);
  shown.keepBy(place.keep);
  const look = shown.show(1);
  let forgotten = false;
  const forgetting = shown.forget().then(() => {
    forgotten = true;
  });
  await turn();
  expect(forgotten).toBe(false);
  place.end();
  await forgetting;
  expect([await look, await shown.show(2), await shown.show(100)]).toEqual([1, 1, 100]);
  expect(place.begun).toEqual([1]);
});
