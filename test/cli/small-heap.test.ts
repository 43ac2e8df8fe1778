import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const module = new URL("../../src/cli/small-heap.ts", import.meta.url);
const keepsSmall = `const { keepHeapSmall } = await import("${module}"); keepHeapSmall();`;

/** What a space of the heap has at most, in MiB, from `afterMs` on of four seconds in which many objects survive a while. */
function program(begin: string, space: string, afterMs: number): string {
  return `
    import { getHeapSpaceStatistics } from "node:v8";
    import { setTimeout } from "node:timers/promises";
    ${begin}
    const some = [];
    let most = 0;
    for (const startMs = performance.now(); performance.now() < startMs + 4000; await setTimeout(1)) {
      for (let i = 0; i < 4_000; i++) some[(Math.random() * 100_000) | 0] = { text: [i, i, i] };
      if (performance.now() < startMs + ${afterMs}) continue;
      const { space_size } = getHeapSpaceStatistics().find(({ space_name }) => space_name === "${space}");
      most = Math.max(most, space_size / 2 ** 20);
    }
    console.log(most);
  `;
}

async function mostMiB(begin: string, space: string, afterMs = 0, ...flags: readonly string[]): Promise<number> {
  const args = [...flags, "--input-type=module", "--eval", program(begin, space, afterMs)];
  return Number((await run(process.execPath, args)).stdout);
}

test("young objects get no more memory than they need", { timeout: 60_000 }, async () => {
  expect(await mostMiB("", "new_space")).toBeGreaterThan(64);

  expect(await mostMiB(keepsSmall, "new_space")).toBeLessThan(64);
});

test("once everything has started, old garbage is collected before it is more than what is alive", {
  timeout: 60_000,
}, async () => {
  const sameYoung = "--max-semi-space-size=8";
  const usual = await mostMiB("", "old_space", 2000, sameYoung);

  expect(await mostMiB(keepsSmall, "old_space", 2000, sameYoung)).toBeLessThan(0.8 * usual);
});
