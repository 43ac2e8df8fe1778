import { expect, test } from "vitest";
import { type CliResult, startCli, tracesAt } from "./support/cli.ts";
import { expectRefusal } from "./support/refusal.ts";
import { makeScratch } from "./support/scratch.ts";
import { pathsIn } from "./support/tree.ts";

/** Runs in a directory with an empty `target`, which must be as empty afterwards; nothing listens at the endpoint. */
async function runWith(args: readonly string[], stdin = ""): Promise<CliResult> {
  await using scratch = await makeScratch();
  const target = await scratch.directory("target");
  const traces = tracesAt(`${scratch.path}/run`);
  const words = args.map((arg) => (arg === "TARGET" ? target : arg));
  const { result } = startCli([...words, "--termination-log", traces.terminationLog], { stdin, traces });
  const ended = await result;
  expect(await pathsIn(target)).toEqual([]);
  expect(ended.stdout).toBe("");
  return ended;
}

const place = ["--bucket", "some-bucket", "--region", "cn-hangzhou", "--target", "TARGET"];

test.concurrent("a wrong option is refused with the nearest right name", async () => {
  expectRefusal(await runWith(["populate", ...place, "--thoughput", "5"]), 2, "--thoughput", "--throughput");
});

test.concurrent("an option that the verb has no use for is refused", async () => {
  expectRefusal(await runWith(["populate", ...place, "--overwrite", "never"]), 2, "--overwrite", "copy");
});

test.concurrent("a limit of 0 is refused", async () => {
  expectRefusal(await runWith(["populate", ...place, "--throughput", "0"]), 2, "--throughput", '"0"');
});

test.concurrent("an unknown field of the spec is refused with its line and the nearest right name", async () => {
  const spec = "spec:\n  bucket: some-bucket\n  regoin: cn-hangzhou\n  path: /x/\n";
  const result = await runWith(["populate", "--spec", "-", "--target", "TARGET"], spec);
  expectRefusal(result, 2, "regoin", "line 3", "region");
});

test.concurrent("a spec field of the wrong type is refused with its line", async () => {
  const spec = "spec:\n  bucket: some-bucket\n  region: cn-hangzhou\n  path: [a, b]\n";
  expectRefusal(await runWith(["populate", "--spec", "-", "--target", "TARGET"], spec), 2, "path", "line 4");
});

test.concurrent("a spec that is no YAML is refused with line and column", async () => {
  const result = await runWith(["populate", "--spec", "{bucket: [", "--target", "TARGET"]);
  expectRefusal(result, 2, "--spec", "line 1");
});

test.concurrent("mode bmcpfs-dataflow is refused with the reason", async () => {
  const spec = "bucket: some-bucket\nregion: cn-hangzhou\npath: /x/\nmode: bmcpfs-dataflow\n";
  const result = await runWith(["populate", "--spec", "-", "--target", "TARGET"], spec);
  expectRefusal(result, 2, "bmcpfs-dataflow", "CPFS", "generic");
});

test.concurrent("a missing region is refused with every way to give it", async () => {
  const args = ["populate", "--bucket", "some-bucket", "--endpoint", "http://127.0.0.1:9", "--target", "TARGET"];
  expectRefusal(await runWith(args), 2, "region", "--region", "OSS_POPULATOR_REGION", "spec.region");
});

test.concurrent("a secret among the options is refused and not repeated", async () => {
  const result = await runWith(["populate", ...place, "--access-key-secret", "never-to-be-seen"]);
  expectRefusal(result, 2, "--access-key-secret", "ALIBABA_CLOUD_ACCESS_KEY_SECRET");
  expect(result.stderr + result.terminationLog).not.toContain("never-to-be-seen");
});

test.concurrent("all problems are told at once, one line each", async () => {
  const result = await runWith(["populate", "--bucket", "B", "--memory", "lots", "--retries", "-1", "--dir-mode", "9"]);
  expect(result.exitCode).toBe(2);
  const problems = result.lines.map(({ problem }) => String(problem));
  for (const name of ["--bucket", "--memory", "--retries", "--dir-mode", "--target", "region"]) {
    expect(problems.filter((problem) => problem.includes(name))).not.toEqual([]);
  }
  expect(problems.length).toBe(6);
});

test.concurrent("a verb that does not exist is refused with the nearest right one", async () => {
  expectRefusal(await runWith(["popluate", ...place]), 2, "popluate", "populate");
});

test.concurrent("help and version are for standard output and succeed", async () => {
  const run = (...args: string[]) => startCli(args).result;
  const [help, verbHelp, version] = await Promise.all([run("--help"), run("copy", "--help"), run("--version")]);
  expect(help).toMatchObject({ exitCode: 0, stderr: "", stdout: expect.stringContaining("populate") });
  expect(verbHelp).toMatchObject({ exitCode: 0, stderr: "", stdout: expect.stringContaining("--overwrite") });
  expect(version).toMatchObject({ exitCode: 0, stderr: "", stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
});

test.concurrent("help that nobody reads to its end leaves no stack trace", async () => {
  const { result, child } = startCli(["populate", "--help"]);
  child.stdout.destroy();
  expect(await result).toMatchObject({ exitCode: 0, stderr: "" });
});

test.concurrent("wrong options do not hold a process that is not process 1", async () => {
  const result = await runWith(["populate"]);
  expect(result.exitCode).toBe(2);
  expect(result.stderr).not.toContain("holding");
});

test.concurrent("a Node.js that is too old is told so, and not a defect", async () => {
  const older = 'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "22.23.1" } })';
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(older)}` };
  const { exitCode, stderr } = await startCli(["--version"], { env }).result;
  expect([exitCode, stderr]).toEqual([2, "oss-populator needs Node.js 24 or later; this is 22.23.1\n"]);
});
