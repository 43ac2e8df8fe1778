import { expect, test } from "vitest";
import { losePower, type PowerLoss } from "../soak/power-loss.ts";
import { whyNoDisk } from "../support/lossy-disk/disk.ts";

type Case = Pick<PowerLoss, "takes" | "filesystem" | "verb" | "method">;

// `npm run soak` tries every combination.
test.for<Case>([
  { takes: "unflushed", filesystem: "ext4", verb: "populate", method: "syncfs" },
  { takes: "unflushed", filesystem: "ext4", verb: "copy", method: "fsync" },
  { takes: "unflushed", filesystem: "xfs", verb: "populate", method: "fsync" },
  { takes: "unflushed", filesystem: "xfs", verb: "copy", method: "syncfs" },
  { takes: "nothing", filesystem: "ext4", verb: "populate", method: "syncfs" },
])(
  "a loss of power ($takes of $filesystem lost) costs no byte at exit 0 of $verb by $method, nor the volume before",
  { timeout: 300_000 },
  async (given, context) => {
    const why = await whyNoDisk(given.filesystem, given.takes);
    if (why !== undefined) return context.skip(why);
    const { wrong, losses } = await losePower({ ...given, during: 2, atTheEnd: 1, random: Math.random });
    expect(wrong).toEqual([]);
    expect(losses).toBeGreaterThan(1);
  },
);
