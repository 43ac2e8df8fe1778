import { describe, expect, test } from "vitest";
import { losePower } from "../soak/power-loss.ts";
import { type Filesystem, whyNoDisk } from "../support/lossy-disk/disk.ts";

const timeout = 300_000;

describe.each<Filesystem>(["ext4", "xfs"])("on a disk with %s that loses what was not flushed", (filesystem) => {
  test.for([
    ["populate", "syncfs"],
    ["populate", "fsync"],
    ["copy", "syncfs"],
    ["copy", "fsync"],
  ] as const)(
    "%s, durable by %s, is complete at exit 0 and can be completed at any moment before",
    { timeout },
    async ([verb, method], context) => {
      const why = await whyNoDisk(filesystem);
      if (why !== undefined) return context.skip(why);
      const loss = { filesystem, verb, method, during: 3, atTheEnd: 2, random: Math.random };
      const { wrong, losses } = await losePower(loss);
      expect(wrong).toEqual([]);
      expect(losses).toBeGreaterThan(2);
    },
  );
});
