import { expect, it } from "vitest";
import { configOf, copy, problemsOf } from "./support.ts";

it("has no shards unless they are counted", async () => {
  expect((await configOf(copy)).source.shard).toBeUndefined();
  expect((await configOf(copy, { env: { JOB_COMPLETION_INDEX: "3" } })).source.shard).toBeUndefined();
});

it("takes the index of the Job, unless one is given", async () => {
  const env = { JOB_COMPLETION_INDEX: "3" };
  expect((await configOf([...copy, "--shard-count=8"], { env })).source.shard).toEqual({ index: 3, count: 8 });
  const given = await configOf([...copy, "--shard-count=8", "--shard-index=0"], { env });
  expect(given.source.shard).toEqual({ index: 0, count: 8 });
});

it.each<[readonly string[], Record<string, string>, string]>([
  [["--shard-index=1"], {}, "--shard-index needs --shard-count, the number of shards"],
  [
    ["--shard-count=8"],
    { JOB_COMPLETION_INDEX: "" },
    "the index of the shard is missing: give --shard-index, or run in an Indexed Job (JOB_COMPLETION_INDEX)",
  ],
  [
    ["--shard-count=8", "--shard-index=8"],
    { JOB_COMPLETION_INDEX: "1" },
    "--shard-index is 8, but must be below --shard-count, which is 8",
  ],
  [
    ["--shard-count=8"],
    { JOB_COMPLETION_INDEX: "8" },
    "JOB_COMPLETION_INDEX is 8, but must be below --shard-count, which is 8",
  ],
  [
    ["--shard-count=8"],
    { JOB_COMPLETION_INDEX: "one" },
    'JOB_COMPLETION_INDEX must be a whole number from 0 to 999999, got "one"',
  ],
])("refuses %j with %j in one sentence", async (argv, env, problem) => {
  expect(await problemsOf([...copy, ...argv], { env })).toEqual([problem]);
});

it("tells of a wrong count and a wrong index together, each once", async () => {
  expect(await problemsOf([...copy, "--shard-count=none", "--shard-index=x"])).toEqual(
    ['must be a whole number from 0 to 999999, got "x"', 'must be a whole number from 1 to 1000000, got "none"'].map(
      (rest, i) => `--shard-${i === 0 ? "index" : "count"} ${rest}`,
    ),
  );
});
