import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { configOf, copy, type Overrides, problemsOf, verify } from "./support.ts";

const object = readFileSync(new URL("fixtures/object.yaml", import.meta.url), "utf8");
const bare = object
  .slice(object.indexOf("spec:\n") + "spec:\n".length)
  .split("\n")
  .map((line) => line.slice(2))
  .join("\n");
const argv = ["populate", "--target", "/data", "--spec", "spec.yaml"];

const withSpec = (text: string): Overrides => ({ files: { "spec.yaml": text } });
const configOfSpec = (text: string): Promise<Config> => configOf(argv, withSpec(text));
const problemsOfSpec = (text: string): Promise<readonly string[]> => problemsOf(argv, withSpec(text));

describe("a spec", () => {
  it.each([
    ["a whole object", object],
    ["a bare spec", bare],
    ["a file with a byte order mark and CRLF", `\ufeff${object.replaceAll("\n", "\r\n")}`],
    ["documents of which only one has content", `---\n${object}\n---\n# nothing\n`],
  ])("is read from %s", async (_, text) => {
    const { source, credentials, effort, warnings } = await configOfSpec(text);
    expect(source).toMatchObject({
      bucket: "my-test-bucket",
      path: "many-files/",
      region: "cn-hangzhou",
      endpoint: { scheme: "https", host: "oss-cn-hangzhou-internal.aliyuncs.com", port: 443 },
    });
    expect(credentials.role).toMatchObject({
      roleArn: "acs:ram::123456789012:role/oss-populator",
      oidcProviderArn: "acs:ram::123456789012:oidc-provider/my-oidc-provider",
      from: "spec",
    });
    expect(effort.limitBytesPerSecond).toBeUndefined();
    expect(warnings).toEqual([]);
  });

  it("may be JSON, inline or in a file", async () => {
    const text = JSON.stringify({ spec: { bucket: "abc", region: "cn-hangzhou", path: null }, status: { any: 1 } });
    expect((await configOf(["populate", "--target=/d", `--spec= ${text}`])).source.bucket).toBe("abc");
    expect((await configOfSpec(text)).source.path).toBe("");
  });

  it("is read from standard input", async () => {
    const config = await configOf(["populate", "--target=/d", "--spec", "-"], { files: { "-": object } });
    expect(config.source.bucket).toBe("my-test-bucket");
  });

  it("is beaten by variables, and these by options", async () => {
    const env = { OSS_POPULATOR_BUCKET: "from-variable", OSS_POPULATOR_PATH: "from-variable" };
    const { source } = await configOf([...argv, "--path", ""], { ...withSpec(object), env });
    expect([source.bucket, source.path, source.region]).toEqual(["from-variable", "", "cn-hangzhou"]);
  });

  it("serves copy and verify beside their own source; verify has no use for its limit", async () => {
    const text = bare.replace("# throughput", "throughput");
    const ofCopy = await configOf([...copy, "--spec=spec.yaml"], withSpec(text));
    expect([ofCopy.source.bucket, ofCopy.source.path]).toEqual(["my-bucket", "some/path"]);
    expect(ofCopy.source.endpoint.host).toBe("oss-cn-hangzhou-internal.aliyuncs.com");
    expect(ofCopy.effort.limitBytesPerSecond).toBe(1e9);
    const ofVerify = await configOf([...verify, "--spec=spec.yaml"], withSpec(text));
    expect(ofVerify.effort.limitBytesPerSecond).toBeUndefined();
  });

  it("may name values once and refer to them", async () => {
    const { source } = await configOfSpec("bucket: &name abc\npath: *name\nregion: cn-hangzhou\n");
    expect([source.bucket, source.path]).toEqual(["abc", "abc"]);
  });
});

describe("the throughput of a spec", () => {
  const generic = "bucket: abc\nregion: cn-hangzhou\ngeneric:\n  throughput: 1000\n";

  it.each([
    ["under generic", generic],
    ["at spec", "bucket: abc\nregion: cn-hangzhou\nthroughput: 1000\n"],
    ["in both places alike", `${generic}throughput: 1000\n`],
    ["in both places alike, written differently", `${generic}throughput: 1e3\n`],
  ])("counts %s", async (_, text) => {
    expect((await configOfSpec(text)).effort.limitBytesPerSecond).toBe(1e9);
  });

  it("counts in both places of the whole object", async () => {
    const both = object.replace("# throughput", "throughput").replace("  mode: generic\n", "  throughput: 1000\n");
    expect((await configOfSpec(both)).effort.limitBytesPerSecond).toBe(1e9);
  });

  it("may not differ between its places", async () => {
    expect(await problemsOfSpec(`${generic}throughput: 500\n`)).toEqual([
      "spec.throughput (line 5, column 1) is 500, but spec.generic.throughput (line 4, column 3) is 1000; give one",
    ]);
  });

  it.each(["0", "-5", ".nan", ".inf", "1e300", "0.0000001"])("cannot be %s", async (value) => {
    expect(await problemsOfSpec(`bucket: abc\nregion: cn-hangzhou\nthroughput: ${value}\n`)).toEqual([
      expect.stringMatching(/^spec\.throughput \(line 3, column 1\) must be a number of MBps/),
    ]);
  });
});

describe("a wrong spec", () => {
  const complete = "bucket: abc\nregion: cn-hangzhou\n";

  it.each([
    ["bukcet: abc", "spec.bukcet (line 3, column 1) is not a field that we know; did you mean bucket?"],
    ["secretRef: x", "spec.secretRef (line 3, column 1) is not a field that we know"],
    ["path: 5", "spec.path (line 3, column 1) must be text, got the number 5; put it in quotes"],
    ["path: true", "spec.path (line 3, column 1) must be text, got the boolean true; put it in quotes"],
    ["path: [a]", "spec.path (line 3, column 1) must be text, got a list"],
    ["path: {a: b}", "spec.path (line 3, column 1) must be text, got a map"],
    ["path: *none", "spec.path (line 3, column 1) must be text, got an alias without its anchor"],
    ["throughput: fast", "spec.throughput (line 3, column 1) must be a number, got text"],
    ["mode: fast", 'spec.mode (line 3, column 1) must be generic, got "fast"'],
    ["mode: Generic", 'spec.mode (line 3, column 1) must be generic, got "Generic"; did you mean generic?'],
    ["generic: 5", "spec.generic (line 3, column 1) must be a map of fields, got the number 5"],
    ["generic:\n  labels: [a]", "spec.generic.labels (line 4, column 3) must be a map of fields, got a list"],
    [
      "generic:\n  labels: {a: 1}",
      "spec.generic.labels.a (line 4, column 12) must be text, got the number 1; put it in quotes",
    ],
    ["1: 2", "spec (line 3, column 1) has a field whose name is not text"],
    ["<<: {path: x}", 'spec."<<" (line 3, column 1) is not a field that we know'],
    ["bucket: abd", "--spec (line 3, column 1): Map keys must be unique"],
    ["---\nbucket: abc", "--spec: one document is expected, another one begins at line 3"],
  ])("with %j is refused in its place", async (line, problem) => {
    expect(await problemsOfSpec(`${complete}${line}\n`)).toEqual([problem]);
  });

  it("for CPFS dataflow is told why", async () => {
    const [problem] = await problemsOfSpec(`${complete}mode: bmcpfs-dataflow\n`);
    expect(problem).toMatch(/inside CPFS for Lingjun without a worker pod; this program copies through a pod/);
  });

  it.each([
    ["", "--spec: the spec is empty"],
    ["# comment\n---\n", "--spec: the spec is empty"],
    ["[a]", "--spec: a spec is a map of fields such as bucket and path, not a list or a single value"],
    ["text", "--spec: a spec is a map of fields such as bucket and path, not a list or a single value"],
    ["kind: OSSVolumePopulator", "--spec: spec is missing from the object"],
    ["spec:", "--spec: spec is missing from the object"],
    ["spec: 5", "spec (line 1, column 1) must be a map of fields, got the number 5"],
    [`a: ${"x".repeat(300_000)}`, "--spec: a spec of 300003 characters is too long, at most 262144"],
  ])("of %.20j is told apart, without asking for what it might have held", async (text, problem) => {
    expect(await problemsOfSpec(text)).toEqual([problem]);
  });

  it("of another kind, version or with foreign fields is refused", async () => {
    expect(
      await problemsOfSpec(
        "apiVersion: storage.alibabacloud.com/v1\nkind: OSSVolume\nspce: {}\nspec: {bucket: abc, region: cn-hangzhou}\n",
      ),
    ).toEqual([
      "spce (line 3, column 1) is not a field that we know; did you mean spec?",
      'apiVersion (line 1, column 1) must be storage.alibabacloud.com/v1beta1, got "storage.alibabacloud.com/v1"',
      'kind (line 2, column 1) must be OSSVolumePopulator, got "OSSVolume"',
    ]);
  });

  it("is told with all its problems and those of the options", async () => {
    const problems = await problemsOf(["populate", "--spec=spec.yaml", "--retries=x"], {
      files: { "spec.yaml": "bucket: UP\npth: a\nregion: 5\nmode: x\n" },
    });
    expect(problems.map((problem) => problem.split(" must")[0])).toEqual([
      "spec.pth (line 2, column 1) is not a field that we know; did you mean path?",
      "spec.mode (line 4, column 1)",
      "spec.region (line 3, column 1)",
      "spec.bucket (line 1, column 1)",
      "--retries",
      "the target is missing: give --target or OSS_POPULATOR_TARGET",
    ]);
  });

  it("that cannot be parsed shows the place but not the text", async () => {
    const problems = await problemsOfSpec('bucket: abc\nregion: "hunter2\npath: x: y\n');
    expect(problems[0]).toMatch(/^--spec \(line \d+, column \d+\): /);
    expect(problems.join()).not.toContain("hunter2");
  });

  it.each([
    ["a token where none may be", `>x: &a [1, 2]\n${" hunter2]\n".repeat(500)}bucket: b\n`],
    ["the header of a block", `path: |hunter2${"x".repeat(5000)}\n`],
    ["a tag", `path: !hunter2${"x".repeat(5000)} a\n`],
    ["a directive", `%${"x".repeat(5000)} a\n---\npath: a\n`],
  ])("with %s that is wrong shows short problems, without the text", async (_, text) => {
    const problems = await problemsOfSpec(text);
    expect(problems.join()).not.toContain("hunter2");
    for (const problem of problems) expect(problem.length).toBeLessThan(300);
  });

  it("that cannot be read is one problem", async () => {
    expect(await problemsOf(argv)).toEqual(['--spec: cannot read "spec.yaml": no such file']);
  });

  it.each([
    ["nested lists", "[".repeat(100_000)],
    ["nested maps", "{a: ".repeat(50_000)],
    ["maps that begin on one line", `${" a:".repeat(10_000)} b\nc: d\n`],
    [
      "aliases of aliases",
      `a0: &a0 [x, x]\n${Array.from({ length: 60 }, (_, n) => `a${n + 1}: &a${n + 1} [*a${n}, *a${n}]`).join("\n")}\ngeneric: {labels: {a: *a60}}`,
    ],
  ])("of %s ends in problems, and soon", async (_, text) => {
    expect((await problemsOfSpec(text)).length).toBeGreaterThan(0);
  });
});

it("unknown fields under generic are warnings with their place", async () => {
  const text = "bucket: abc\nregion: cn-hangzhou\ngeneric:\n  label: {}\n  rrsaConfigs:\n    roleAnr: x\n";
  expect((await configOfSpec(text)).warnings).toEqual([
    "spec.generic.label (line 4, column 3) is not a field that we know and is ignored; did you mean labels?",
    "spec.generic.rrsaConfigs.roleAnr (line 6, column 5) is not a field that we know and is ignored; did you mean roleArn?",
  ]);
});
