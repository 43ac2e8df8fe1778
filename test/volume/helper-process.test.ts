import { chmod, writeFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { runHelper } from "../../src/volume/helper-process.ts";
import { temporaryDirectory } from "./support.ts";

it("a helper's code and complaint come back", async () => {
  expect(await runHelper("true", [])).toEqual({ exitCode: 0, complaint: "" });
  const { exitCode, complaint } = await runHelper("sync", ["-f", "/nowhere"]);
  expect(exitCode).toBe(1);
  expect(complaint).toContain("No such file or directory");
});

it.each([
  ["is not there", async () => ["oss-populator-no-such-helper"] as const],
  // Node throws these, where it tells of others by an event.
  ["is refused by the kernel", async () => ["true", "x".repeat(2 ** 20)] as const],
  [
    "is no program for this machine",
    async (directory: string) => {
      await writeFile(`${directory}/helper`, "\u007fELF of another machine");
      await chmod(`${directory}/helper`, 0o755);
      return [`${directory}/helper`] as const;
    },
  ],
])("a helper that %s did not start, and nothing is thrown", async (_, prepare) => {
  await using place = await temporaryDirectory();
  const [program, ...args] = await prepare(place.path);
  const { exitCode, complaint } = await runHelper(program, args);
  expect(exitCode).not.toBe(0);
  expect(complaint).not.toBe("");
});
