import { describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/parse.ts";
import { inputOf } from "./support.ts";

async function help(...argv: string[]): Promise<string> {
  const parsed = await parseConfig(inputOf(argv));
  return parsed.kind === "help" ? parsed.text : "";
}

/** Options with what stands for their value, and defaults, in the order of the help. */
function rows(text: string): readonly string[] {
  const entries = text.split(/\n {2}(?=--)/).slice(1);
  return entries.map((entry) => {
    const [term] = entry.split(/ {2,}|\n/, 1);
    const [, note] = /\(default: ([^)]*)\)$/.exec(entry.split("\n\n", 1).join("").replace(/\s+/g, " ").trim()) ?? [];
    return note === undefined ? `${term}` : `${term} = ${note}`;
  });
}

const source = (from: "populate" | "copy" | "verify") => [
  "--spec FILE|-|TEXT",
  ...(from === "populate" ? ["--bucket BUCKET", "--path PATH = the whole bucket"] : []),
  "--region REGION = read from the endpoint",
  "--endpoint HOST|URL = public endpoint of the region",
  "--internal",
  "--addressing auto|virtual|path|cname = auto",
  "--signature v4|v1 = v4",
  "--include GLOB = everything",
  "--exclude GLOB = nothing",
  "--files-from FILE|-",
  ...(from === "copy" ? ["--shard-index N = JOB_COMPLETION_INDEX", "--shard-count N"] : []),
  "--ca-file FILE",
  ...(from !== "verify" ? ["--transport socket|undici = socket"] : []),
  "--allow-empty",
  "--role-arn ARN = spec, then ALIBABA_CLOUD_ROLE_ARN",
  "--oidc-provider-arn ARN = spec, then ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
  "--oidc-token-file FILE = ALIBABA_CLOUD_OIDC_TOKEN_FILE, then where ACK mounts it",
  "--sts-endpoint HOST = ALIBABA_CLOUD_STS_ENDPOINT, then the public one",
  "--anonymous",
];
const made = ["--uid N = ours", "--gid N = ours", "--file-mode MODE = 0644", "--dir-mode MODE = 0755"];
const concurrency = "--concurrency N = 64 per CPU of the cgroup's quota, from 32 to 256";
const sizes = [
  "--part-size SIZE = 8MiB, or --memory if less",
  "--memory SIZE = a sixth of the cgroup's memory limit, from 16MiB to 64MiB",
  "--threads N = one for HTTP; for HTTPS and into a tmpfs one per CPU of the quota, at most 4",
];
const timeouts = ["--connect-timeout DURATION = 10s", "--stall-timeout DURATION = 30s"];
const retries = ["--retries N = 8", "--retry-for DURATION = 10m"];
const output = [
  "--log-format auto|text|json = auto",
  "--log-level debug|info|warn|error = info",
  "--report FILE|-",
  "--termination-log FILE = /dev/termination-log",
  "--metrics-listen HOST:PORT = off",
  "--metrics-push URL = off",
  "--metrics-label NAME=VALUE = job=oss_populator",
];
const quit = "--quit-url URL = off";

describe("--help", () => {
  it("of populate shows its options with units and defaults", async () => {
    expect(rows(await help("populate", "--help"))).toEqual([
      ...source("populate"),
      "--target DIR|DEVICE",
      "--allow-root-filesystem",
      "--allow-non-empty",
      ...made,
      "--chown-root",
      "--no-mtime",
      "--unsupported fail|skip = fail",
      "--no-resume",
      "--resume-within DURATION = 24h",
      "--throughput MBPS = unlimited",
      concurrency,
      ...sizes,
      ...timeouts,
      "--min-speed SIZE = 1KiB",
      ...retries,
      "--max-failures N|none = 1",
      "--fail-hold DURATION = 30s, doubling up to 5m while it fails the same way; 0 on a terminal",
      "--dry-run",
      ...output,
      "--owner-uid UID",
      quit,
    ]);
  });

  it("of copy shows its options with units and defaults", async () => {
    expect(rows(await help("copy", "-h"))).toEqual([
      ...source("copy"),
      ...made,
      "--chown-root",
      "--no-mtime",
      "--unsupported fail|skip = fail",
      "--overwrite always|never|older = always",
      "--throughput MBPS = unlimited",
      concurrency,
      ...sizes,
      ...timeouts,
      "--min-speed SIZE = 1KiB",
      ...retries,
      "--max-failures N|none = none",
      "--fail-hold DURATION = 0",
      "--dry-run",
      ...output,
      "--owner-uid UID",
      quit,
    ]);
  });

  it("of verify shows its options with units and defaults", async () => {
    expect(rows(await help("--help", "verify"))).toEqual([
      ...source("verify"),
      "--unsupported fail|skip = fail",
      concurrency,
      ...timeouts,
      ...retries,
      "--max-failures N|none = none",
      "--fail-hold DURATION = 0",
      ...output,
      quit,
    ]);
  });

  it("is grouped, explains variables and units, and fits 100 columns", async () => {
    const text = await help("populate", "--help");
    const headings = ["\nSource\n", "\nCredentials\n", "\nTarget\n", "\nLimits and effort\n", "\nOutput\n"];
    for (const heading of headings) expect(text).toContain(heading);
    for (const word of ["OSS_POPULATOR_PART_SIZE", "500ms", "1,000,000", "ALIBABA_CLOUD_ACCESS_KEY_ID", "Exit codes"]) {
      expect(text).toContain(word);
    }
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
    expect(text).toMatch(/[^\n]\n$/);
  });

  it("without a verb shows the verbs", async () => {
    for (const text of [await help("--help"), await help("nonsense", "--help")]) {
      expect(text).toContain("oss-populator populate --target DIR|DEVICE [options]");
      expect(text).toContain("oss-populator copy [options] oss://BUCKET/PATH TARGET");
      expect(text).toContain("oss-populator verify [options] oss://BUCKET/PATH DIR|DEVICE");
    }
  });

  it("wins over every problem, and so does --version", async () => {
    expect(await help("populate", "--nonsense", "--bucket", "--help")).toContain("Usage: oss-populator populate");
    expect(await parseConfig(inputOf(["--nonsense", "--version"]))).toEqual({ kind: "version" });
  });
});
