import { flags, type Sample, without } from "./sample.ts";
import { copy, populate } from "./support.ts";

/** Options of target, effort and output. */
export const runSamples = {
  target: {
    argv: without("--target"),
    pick: (config) => config.target.directory,
    right: [
      ["/data", "/data"],
      ["below/here/", "/work-here/below/here"],
    ],
    wrong: ["a\0b"],
  },
  "allow-root-filesystem": flags((config) => config.target.allowRootFilesystem),
  "allow-non-empty": flags((config) => config.target.allowNonEmpty),
  uid: {
    argv: populate,
    pick: (config) => config.target.uid,
    right: [
      ["0", 0],
      ["4294967294", 4_294_967_294],
    ],
    wrong: ["4294967295", "-1", "1.5", "root", "0x10"],
  },
  gid: {
    argv: populate,
    pick: (config) => config.target.gid,
    right: [
      ["0", 0],
      ["1000", 1000],
    ],
    wrong: ["4294967295", "wheel"],
  },
  "file-mode": {
    argv: populate,
    pick: (config) => config.target.fileMode,
    right: [
      ["0600", 0o600],
      ["755", 0o755],
    ],
    wrong: ["4755", "02755", "0888", "rw-r--r--", "7", "0o644"],
  },
  "dir-mode": {
    argv: populate,
    pick: (config) => config.target.dirMode,
    right: [
      ["0700", 0o700],
      ["2775", 0o2775],
    ],
    wrong: ["10000", "0999"],
  },
  "chown-root": flags((config) => config.target.chownRoot),
  "no-mtime": flags((config) => config.target.mtime, populate, true),
  unsupported: {
    argv: populate,
    pick: (config) => config.target.unsupported,
    right: [
      ["fail", "fail"],
      ["skip", "skip"],
    ],
    wrong: ["ignore"],
  },
  "no-resume": flags((config) => config.target.resume, populate, true),
  "resume-within": {
    argv: populate,
    pick: (config) => config.target.resumeWithinMs,
    right: [
      ["90m", 5_400_000],
      ["0", 0],
    ],
    wrong: ["a day", "-1s"],
  },
  overwrite: {
    argv: copy,
    pick: (config) => config.target.overwrite,
    right: [
      ["never", "never"],
      ["older", "older"],
    ],
    wrong: ["newer"],
  },
  throughput: {
    argv: populate,
    pick: (config) => config.effort.limitBytesPerSecond,
    right: [
      ["1000", 1_000_000_000],
      ["62.5", 62_500_000],
    ],
    wrong: ["0", "0.0", "-1", "fast", "1e3", "100MBps", "1000001", "99999999999999999999", "NaN", "Infinity", "0.0001"],
  },
  concurrency: {
    argv: populate,
    pick: (config) => config.effort.concurrency,
    right: [
      ["1", 1],
      ["4096", 4096],
    ],
    wrong: ["0", "4097", "many", "1.5"],
  },
  "part-size": {
    argv: populate,
    pick: (config) => config.effort.partBytes,
    right: [
      ["64KiB", 65_536],
      ["8MiB", 8_388_608],
    ],
    wrong: ["63KiB", "2GiB", "100000", "8mb", "1MB", "8 MiB"],
  },
  memory: {
    argv: populate,
    pick: (config) => config.effort.memoryBytes,
    right: [
      ["1GB", 1_000_000_000],
      ["10.5Mi", 11_010_048],
    ],
    wrong: ["1KiB", "3GiB", "10.1111111MiB", "lots"],
  },
  threads: {
    argv: populate,
    pick: (config) => config.effort.threads,
    right: [
      ["2", 2],
      ["16", 16],
    ],
    wrong: ["0", "65", "1.5", "all"],
  },
  "connect-timeout": {
    argv: populate,
    pick: (config) => config.effort.connectTimeoutMs,
    right: [
      ["500ms", 500],
      ["1.5s", 1500],
    ],
    wrong: ["0", "5", "5 s", "-1s", "1d", "337h"],
  },
  "stall-timeout": {
    argv: populate,
    pick: (config) => config.effort.stallTimeoutMs,
    right: [
      ["30s", 30_000],
      ["5m", 300_000],
    ],
    wrong: ["0s", "0.1ms"],
  },
  "min-speed": {
    argv: populate,
    pick: (config) => config.effort.minBytesPerSecond,
    right: [
      ["0", 0],
      ["64KiB", 65_536],
    ],
    wrong: ["slow", "-1"],
  },
  retries: {
    argv: populate,
    pick: (config) => config.effort.retries,
    right: [
      ["0", 0],
      ["3", 3],
    ],
    wrong: ["-1", "1001", ""],
  },
  "retry-for": {
    argv: populate,
    pick: (config) => config.effort.retryForMs,
    right: [
      ["2h", 7_200_000],
      ["0", 0],
    ],
    wrong: ["long"],
  },
  "max-failures": {
    argv: populate,
    pick: (config) => config.effort.maxFailures,
    right: [
      ["5", 5],
      ["none", undefined],
    ],
    wrong: ["0", "all"],
  },
  "fail-hold": {
    argv: populate,
    pick: (config) => config.effort.failHoldMs,
    right: [
      ["0", 0],
      ["5s", 5000],
    ],
    wrong: ["never"],
  },
  "dry-run": flags((config) => config.dryRun),
  "log-format": {
    argv: populate,
    pick: (config) => config.output.logFormat,
    right: [
      ["text", "text"],
      ["json", "json"],
    ],
    wrong: ["xml"],
  },
  "log-level": {
    argv: populate,
    pick: (config) => config.output.logLevel,
    right: [
      ["debug", "debug"],
      ["error", "error"],
    ],
    wrong: ["trace"],
  },
  report: {
    argv: populate,
    pick: (config) => config.output.report,
    right: [
      ["-", "-"],
      ["report.json", "report.json"],
    ],
    wrong: ["a\0"],
  },
  "termination-log": {
    argv: populate,
    pick: (config) => config.output.terminationLog,
    right: [
      ["/log", "/log"],
      ["/other", "/other"],
    ],
    wrong: ["a\0"],
  },
  "metrics-listen": {
    argv: populate,
    pick: (config) => config.output.metricsListen,
    right: [
      [":9090", { host: "", port: 9090 }],
      ["[::]:9090", { host: "::", port: 9090 }],
    ],
    wrong: ["9090", "::1:9090", "[zz]:1", "h:65536", "h:", "[::1]", "a b:1"],
  },
  "metrics-push": {
    argv: populate,
    pick: (config) => config.output.metricsPush,
    right: [
      ["http://gateway:9091", "http://gateway:9091/"],
      ["https://user:p%40ss@gateway/prefix?x=1", "https://user:p%40ss@gateway/prefix?x=1"],
    ],
    wrong: ["gateway:9091", "ftp://gateway", "http://", "http://a b", "http://h:0", "http://h:65536", "http://h/#x"],
  },
  "metrics-label": {
    argv: [...populate, "--metrics-push", "http://gateway"],
    pick: (config) => config.output.metricsLabels,
    right: [
      ["claim=data/model", { claim: "data/model" }],
      ["job=x=y\nempty=", { job: "x=y", empty: "" }],
    ],
    wrong: ["claim", "=x", "1a=x", "a-b=x", "__a=x", "outcome=x", "version=1", "a=1\na=2", "a=\0", "\n"],
  },
  "owner-uid": {
    argv: populate,
    pick: (config) => config.output.ownerUid,
    right: [
      ["3f2a", "3f2a"],
      ["b7", "b7"],
    ],
    wrong: ["a\0"],
  },
  "quit-url": {
    argv: populate,
    pick: (config) => config.output.quitUrl,
    right: [
      ["http://127.0.0.1:15020/quitquitquit", "http://127.0.0.1:15020/quitquitquit"],
      ["http://localhost:4191/shutdown", "http://localhost:4191/shutdown"],
    ],
    wrong: ["127.0.0.1:15020", "quit", "unix:/run/quit"],
  },
} satisfies Record<string, Sample>;
