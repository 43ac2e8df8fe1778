import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { buildKernel } from "../../scripts/build-kernel.ts";

test("the committed kernel is what its source compiles to", { timeout: 60_000 }, async () => {
  const committed = await readFile(new URL("../../src/checksum/kernel.wasm.ts", import.meta.url), "utf8");
  expect(await buildKernel()).toBe(committed);
});
