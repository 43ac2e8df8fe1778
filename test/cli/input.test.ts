import { writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { readLines } from "../../src/cli/input.ts";
import { makeScratch } from "../e2e/support/scratch.ts";

async function linesOf(path: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of readLines(path, new AbortController().signal)) lines.push(line);
  return lines;
}

test.each([
  ["a\nb\n", ["a", "b"]],
  ["a\r\nb", ["a", "b"]],
  ["\uFEFFa\n\uFEFFb\n", ["a", "\uFEFFb"]],
  ["\n a \n", ["", " a "]],
  ["", []],
])("the lines of %j are %j", async (content, lines) => {
  await using scratch = await makeScratch();
  const path = `${scratch.path}/list`;
  await writeFile(path, content);
  expect(await linesOf(path)).toEqual(lines);
});

test("a file that is not there is told, not waited for", async () => {
  await expect(linesOf("/nowhere/list")).rejects.toThrow("ENOENT");
});
