import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const nursery = new URL("../../src/cli/nursery.ts", import.meta.url);

/** What young objects have in the end, in MiB, after two seconds in which many of them survived a while. */
function program(begin: string): string {
  return `
    import { getHeapSpaceStatistics } from "node:v8";
    import { setTimeout } from "node:timers/promises";
    ${begin}
    const some = [];
    for (const endsAt = performance.now() + 2000; performance.now() < endsAt; await setTimeout(1)) {
      for (let i = 0; i < 4_000; i++) some[(Math.random() * 100_000) | 0] = { text: [i, i, i] };
    }
    console.log(getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space").space_size / 2 ** 20);
  `;
}

async function youngMiB(begin: string): Promise<number> {
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", program(begin)]);
  return Number(stdout);
}

test("young objects get no more memory than they need", { timeout: 60_000 }, async () => {
  expect(await youngMiB("")).toBeGreaterThanOrEqual(64);

  expect(await youngMiB(`const { boundNursery } = await import("${nursery}"); boundNursery();`)).toBeLessThanOrEqual(
    32,
  );
});
