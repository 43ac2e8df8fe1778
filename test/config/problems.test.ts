import { describe, expect, it } from "vitest";
import { parseConfig, parseFallback } from "../../src/config/parse.ts";
import { ConfigError } from "../../src/errors.ts";
import { configOf, copy, inputOf, populate, problemsOf, verify } from "./support.ts";

describe("arguments", () => {
  it("are refused with every problem at once", async () => {
    const problems = await problemsOf(
      ["populate", "--bucket", "B", "--throughput", "0", "--concurrency", "x", "--overwrite", "never", "--nonsense"],
      { env: { OSS_POPULATOR_RETRIES: "many" }, files: {} },
    );
    expect(problems).toEqual([
      "unknown option --nonsense",
      "--overwrite is of no use to populate; only copy can use it",
      expect.stringMatching(/^--bucket must be a bucket name .*, got "B"$/),
      expect.stringMatching(/^--throughput must be a number of MBps/),
      expect.stringMatching(/^--concurrency must be a whole number from 1 to 4096, got "x"$/),
      expect.stringMatching(/^OSS_POPULATOR_RETRIES must be/),
    ]);
  });

  it("that miss everything are told what to give", async () => {
    expect(await problemsOf(["populate"])).toEqual([
      expect.stringContaining("--bucket, OSS_POPULATOR_BUCKET or spec.bucket"),
      expect.stringContaining("--region, OSS_POPULATOR_REGION, spec.region"),
      expect.stringContaining("--target or OSS_POPULATOR_TARGET"),
    ]);
  });

  it.each([
    ["--trougput", "--throughput"],
    ["--buket", "--bucket"],
    ["-bucket", "--bucket"],
    ["--file_mode", "--file-mode"],
    ["--dryrun", "--dry-run"],
    ["--concurency=5", "--concurrency"],
  ])("with a misspelt %s name %s", async (wrong, right) => {
    const problems = await problemsOf(["populate", wrong, "50"]);
    expect(problems[0]).toBe(`unknown option ${wrong.split("=")[0]}; did you mean ${right}?`);
    expect(problems).toHaveLength(1);
  });

  it("name only options of the verb as the nearest", async () => {
    expect(await problemsOf([...verify, "--overwrit=never"])).toEqual(["unknown option --overwrit"]);
    expect(await problemsOf([...copy, "--overwrit=never"])).toEqual([
      "unknown option --overwrit; did you mean --overwrite?",
    ]);
  });

  it.each(["--access-key-id", "--access-key-secret", "--security-token", "--password", "--secret"])(
    "with the secret %s learn of the variables, and the secret is not repeated",
    async (option) => {
      const problems = await problemsOf([...populate, option, "hunter2", `${option}=hunter2`]);
      expect(problems[0]).toContain("ALIBABA_CLOUD_ACCESS_KEY_ID");
      expect(problems.join()).not.toContain("hunter2");
    },
  );

  it("never have the password of an endpoint repeated", async () => {
    for (const endpoint of ["https://user:hunter2@host", "http://user:hunter2/x@y@host", "user:hunter2@host"]) {
      expect((await problemsOf([...populate, "--endpoint", endpoint])).join()).not.toContain("hunter2");
    }
  });

  it("need a value where there is none", async () => {
    expect(await problemsOf(["populate", "--bucket", "--region", "cn-hangzhou", "--target"])).toEqual([
      "--bucket needs a value (BUCKET); one that begins with -- is written --bucket=VALUE",
      "--target needs a value (DIR|DEVICE); one that begins with -- is written --target=VALUE",
    ]);
  });

  it("may repeat an option only with the same value", async () => {
    expect(await problemsOf([...populate, "--retries=1", "--retries=2"])).toEqual([
      "--retries is given more than once, with different values",
    ]);
    expect((await configOf([...populate, "--retries=1", "--retries=1"])).effort.retries).toBe(1);
  });

  it("collect a repeatable option, and replace its variable as a whole", async () => {
    const env = { OSS_POPULATOR_INCLUDE: "a\nb\n" };
    expect((await configOf(populate, { env })).source.include).toEqual(["a", "b"]);
    const config = await configOf([...populate, "--include", "c", "--include=d"], { env });
    expect(config.source.include).toEqual(["c", "d"]);
  });

  it("name the nearest verb, or all of them", async () => {
    expect(await problemsOf(["poplate"])).toEqual(['unknown verb "poplate"; did you mean populate?']);
    expect(await problemsOf([])).toEqual(["a verb is missing: give populate, copy or verify"]);
    expect(await problemsOf(["restore", "--bukcet=x"])).toEqual([
      'unknown verb "restore": give populate, copy or verify',
      "unknown option --bukcet; did you mean --bucket?",
    ]);
  });
});

describe("positional arguments", () => {
  it("are source and target of copy and verify", async () => {
    for (const argv of [copy, verify]) {
      const { source, target } = await configOf(argv);
      expect([source.bucket, source.path, target.directory]).toEqual(["my-bucket", "some/path", "/data"]);
    }
  });

  it("may follow --, and are not decoded", async () => {
    const { source, target } = await configOf(["copy", "--region=cn-hangzhou", "--", "oss://abc/a%20b?c#d/", "--odd"]);
    expect([source.path, target.directory]).toEqual(["a%20b?c#d/", "/work-here/--odd"]);
  });

  it.each(["oss://abc", "oss://abc/"])("as %s mean the whole bucket", async (location) => {
    expect((await configOf(["copy", location, "/data", "--region=cn-hangzhou"])).source.path).toBe("");
  });

  it("are each asked for when they are missing", async () => {
    expect(await problemsOf(["copy", "--region=cn-hangzhou"])).toEqual([
      "the source is missing: copy oss://BUCKET/PATH TARGET",
      "TARGET is missing: copy oss://BUCKET/PATH TARGET",
    ]);
    expect(await problemsOf(["verify", "--region=cn-hangzhou", "s3://abc/x"])).toEqual([
      'the source must be oss://BUCKET/PATH, got "s3://abc/x"',
      "DIR is missing: verify oss://BUCKET/PATH DIR",
    ]);
  });

  it("are refused beyond what the verb takes", async () => {
    expect(await problemsOf([...populate, "extra"])).toEqual([
      'unexpected argument "extra": populate takes options only',
    ]);
    expect(await problemsOf([...copy, "extra"])).toEqual([
      'unexpected argument "extra": copy takes oss://BUCKET/PATH and TARGET',
    ]);
  });

  it("take the place of the options of populate", async () => {
    expect(await problemsOf([...copy, "--bucket=abc"])).toEqual([
      "--bucket is of no use to copy; its source is the argument oss://BUCKET/PATH",
    ]);
  });
});

describe("variables", () => {
  it("that Kubernetes injects for services are passed over in silence", async () => {
    const env = {
      OSS_POPULATOR_SERVICE_HOST: "10.0.0.1",
      OSS_POPULATOR_SERVICE_PORT: "80",
      OSS_POPULATOR_SERVICE_PORT_HTTP: "80",
      OSS_POPULATOR_PORT: "tcp://10.0.0.1:80",
      OSS_POPULATOR_PORT_80_TCP: "tcp://10.0.0.1:80",
      OSS_POPULATOR_PORT_80_TCP_PROTO: "tcp",
      OSS_POPULATOR_PORT_80_TCP_PORT: "80",
      OSS_POPULATOR_PORT_80_TCP_ADDR: "10.0.0.1",
      OSS_POPULATOR_METRICS_SERVICE_HOST: "10.0.0.2",
      OSS_POPULATOR_METRICS_PORT: "tcp://10.0.0.2:9090",
      OSS_POPULATOR_METRICS_PORT_9090_UDP_ADDR: "10.0.0.2",
      OSS_POPULATOR_REPORT_PORT: "tcp://10.0.0.3:1",
      // A Service called oss-populator-bucket with a port called metrics-push.
      OSS_POPULATOR_BUCKET_SERVICE_PORT_METRICS_PUSH: "1",
      OSS_POPULATOR_BUCKET_PORT_1_SCTP: "sctp://[fd00::1]:1",
    };
    for (const argv of [populate, copy, verify]) {
      expect(await configOf(argv, { env })).toEqual(await configOf(argv));
    }
  });

  it("that are no option's are warned of, with the nearest that is", async () => {
    const env = {
      OSS_POPULATOR_TROUGHPUT: "5",
      OSS_POPULATOR_Retries: "1",
      OSS_POPULATOR_SOMETHING_ELSE: "/",
      OSS_POPULATOR_EMPTY: "",
      OSS_POPULATORS: "1",
      PATH: "/bin",
    };
    const { warnings, effort } = await configOf(populate, { env });
    expect(warnings).toEqual([
      "OSS_POPULATOR_TROUGHPUT is no variable of ours; did you mean OSS_POPULATOR_THROUGHPUT?",
      "OSS_POPULATOR_Retries is no variable of ours; did you mean OSS_POPULATOR_RETRIES?",
      "OSS_POPULATOR_SOMETHING_ELSE is no variable of ours",
    ]);
    expect(effort.retries).toBe(8);
  });

  it("of options that the verb has no use for are ignored, with a warning", async () => {
    const { warnings } = await configOf(copy, { env: { OSS_POPULATOR_TARGET: "/elsewhere" } });
    expect(warnings).toEqual(["OSS_POPULATOR_TARGET is ignored: copy has no use for it"]);
  });
});

describe("the Config", () => {
  it("is frozen to its leaves", async () => {
    const config = await configOf([...populate, "--include=a", "--metrics-listen=:1"]);
    const frozen = (value: unknown): boolean =>
      typeof value !== "object" || value === null || (Object.isFrozen(value) && Object.values(value).every(frozen));
    expect(frozen(config)).toBe(true);
  });

  it("warns of an owner UID that no metrics will show", async () => {
    expect((await configOf([...populate, "--owner-uid=a"])).warnings).toEqual([
      "--owner-uid has no effect without --metrics-listen or --metrics-push",
    ]);
    expect((await configOf([...populate, "--owner-uid=a", "--metrics-push=http://h"])).warnings).toEqual([]);
  });

  it("warns of labels that go nowhere", async () => {
    expect((await configOf([...populate, "--metrics-label=a=b", "--metrics-listen=:1"])).warnings).toEqual([
      "--metrics-label has no effect without --metrics-push",
    ]);
  });

  it("says whether the termination log was asked for", async () => {
    expect((await configOf(populate)).output.terminationLogGiven).toBe(false);
    expect((await configOf([...populate, "--termination-log=/dev/termination-log"])).output.terminationLogGiven).toBe(
      true,
    );
  });
});

describe("the fallback for wrong options", () => {
  const fallback = (argv: readonly string[], overrides = {}) => parseFallback(inputOf(argv, overrides));

  it("keeps what can be used and defaults for the rest", () => {
    expect(
      fallback(["populate", "--nonsense", "--log-format=json", "--log-level=loud", "--termination-log=/t"]),
    ).toEqual({
      logFormat: "json",
      logLevel: "info",
      terminationLog: "/t",
      terminationLogGiven: true,
      failHoldMs: 0,
    });
  });

  it("holds as process 1 of a populator pod only, unless a hold is asked for", () => {
    const pod = { isProcess1: true };
    expect(fallback(["populate"], pod).failHoldMs).toBe(30_000);
    expect(fallback(["poplate"], pod).failHoldMs).toBe(30_000);
    expect(fallback(["copy"], pod).failHoldMs).toBe(0);
    expect(fallback(["populate"]).failHoldMs).toBe(0);
    expect(fallback(["populate"], { isProcess1: true, isTerminal: true }).failHoldMs).toBe(0);
    expect(fallback(["populate", "--fail-hold=1s"]).failHoldMs).toBe(1000);
    expect(fallback(["populate"], { isProcess1: true, env: { OSS_POPULATOR_FAIL_HOLD: "0" } }).failHoldMs).toBe(0);
  });
});

it("a failure to read the spec that is no Error is still told as a problem", async () => {
  const input = { ...inputOf([...populate, "--spec", "f"]), readText: () => Promise.reject("odd") };
  await expect(parseConfig(input)).rejects.toEqual(new ConfigError(['--spec: cannot read "f": odd']));
});
