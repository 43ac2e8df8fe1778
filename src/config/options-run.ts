import { choice, countOrNone, duration, flag, integer, listenAddress, mode, size, text, throughput } from "./kinds.ts";
import { copy, every, type Option, populate, writing } from "./option.ts";
import { httpUrl, metricsLabels } from "./output-kinds.ts";

// 2^32 - 1 is the "no change" of chown(2).
const ownerId = integer({ min: 0, max: 2 ** 32 - 2 });
const kib = 1024;
const mib = 1024 * kib;
const gib = 1024 * mib;

export const target = {
  target: {
    group: "Target",
    verbs: populate,
    kind: text("DIR|DEVICE"),
    help: "Directory to fill, or block device to write one object to; it must exist.",
  },
  "allow-root-filesystem": {
    group: "Target",
    verbs: populate,
    kind: flag,
    default: "false",
    directoryOnly: true,
    help: "As process 1, accept a target on the filesystem of /.",
  },
  "allow-non-empty": {
    group: "Target",
    verbs: populate,
    kind: flag,
    default: "false",
    help: "Accept a target that holds foreign files, which are never deleted, or a device that holds data, which is overwritten.",
  },
  uid: {
    group: "Target",
    verbs: writing,
    kind: ownerId,
    directoryOnly: true,
    help: "Owner of what is made.",
    defaultNote: "ours",
  },
  gid: {
    group: "Target",
    verbs: writing,
    kind: ownerId,
    directoryOnly: true,
    help: "Group of what is made.",
    defaultNote: "ours",
  },
  "file-mode": {
    group: "Target",
    verbs: writing,
    kind: mode(0o777),
    default: "0644",
    directoryOnly: true,
    help: "Mode of files, whatever the umask.",
  },
  "dir-mode": {
    group: "Target",
    verbs: writing,
    kind: mode(0o7777),
    default: "0755",
    directoryOnly: true,
    help: "Mode of directories, whatever the umask.",
  },
  "chown-root": {
    group: "Target",
    verbs: writing,
    kind: flag,
    default: "false",
    directoryOnly: true,
    help: "Give the target itself the same owner, group and mode.",
  },
  "no-mtime": {
    group: "Target",
    verbs: writing,
    kind: flag,
    default: "false",
    directoryOnly: true,
    help: "Leave modification times alone; copy then fetches everything each time.",
  },
  unsupported: {
    group: "Target",
    verbs: every,
    kind: choice("fail", "skip"),
    default: "fail",
    directoryOnly: true,
    help: "What a key that cannot be a file is.",
  },
  "no-resume": {
    group: "Target",
    verbs: populate,
    kind: flag,
    default: "false",
    help: "Start over where an earlier run was stopped, instead of going on.",
  },
  "resume-within": {
    group: "Target",
    verbs: populate,
    kind: duration(0),
    default: "24h",
    help: "Start over if the earlier run's progress is older.",
  },
  overwrite: {
    group: "Target",
    verbs: copy,
    kind: choice("always", "never", "older"),
    default: "always",
    help: "Whether a file that differs is replaced.",
  },
} as const satisfies Record<string, Option>;

export const effort = {
  throughput: {
    group: "Limits and effort",
    verbs: writing,
    kind: throughput,
    help: "Limit in MBps (1,000,000 bytes per second) over everything received.",
    defaultNote: "unlimited",
  },
  concurrency: {
    group: "Limits and effort",
    verbs: every,
    kind: integer({ min: 1, max: 4096 }),
    help: "Requests in flight.",
    defaultNote: "64 per CPU of the cgroup's quota, from 32 to 256",
  },
  "part-size": {
    group: "Limits and effort",
    verbs: writing,
    kind: size({ min: 64 * kib, max: gib, step: 4 * kib }),
    help: "Bytes that one request asks for.",
    defaultNote: "8MiB, or --memory if less",
  },
  memory: {
    group: "Limits and effort",
    verbs: writing,
    kind: size({ min: 4 * mib, max: 2 * gib }),
    help: "Bytes of buffers.",
    defaultNote: "a sixth of the cgroup's memory limit, from 16MiB to 64MiB",
  },
  threads: {
    group: "Limits and effort",
    verbs: writing,
    kind: integer({ min: 1, max: 64 }),
    help: "Threads that receive, checksum and write.",
    defaultNote: "one for HTTP; for HTTPS and into a tmpfs one per CPU of the quota, at most 4",
  },
  "connect-timeout": {
    group: "Limits and effort",
    verbs: every,
    kind: duration(1),
    default: "10s",
    help: "Longest wait for a connection.",
  },
  "stall-timeout": {
    group: "Limits and effort",
    verbs: every,
    kind: duration(1),
    default: "30s",
    help: "Longest wait for the next byte.",
  },
  "min-speed": {
    group: "Limits and effort",
    verbs: writing,
    kind: size({ min: 0, max: gib }),
    default: "1KiB",
    help: "Bytes per second that a connection must reach over 30 s; 0 is off.",
  },
  retries: {
    group: "Limits and effort",
    verbs: every,
    kind: integer({ min: 0, max: 1000 }),
    default: "8",
    help: "New attempts for each request that failed.",
  },
  "retry-for": {
    group: "Limits and effort",
    verbs: every,
    kind: duration(0),
    default: "10m",
    help: "Give up after that long without progress.",
  },
  "max-failures": {
    group: "Limits and effort",
    verbs: every,
    kind: countOrNone,
    help: "Failed objects that end the run.",
    defaultNote: { populate: "1", copy: "none", verify: "none" },
  },
  "fail-hold": {
    group: "Limits and effort",
    verbs: every,
    kind: duration(0),
    help: "Stay alive that long after a failure, before the exit.",
    defaultNote: {
      populate: "30s, doubling up to 5m while it fails the same way; 0 on a terminal",
      copy: "0",
      verify: "0",
    },
  },
  "dry-run": {
    group: "Limits and effort",
    verbs: writing,
    kind: flag,
    default: "false",
    help: "List, plan, check space and report, but write nothing.",
  },
} as const satisfies Record<string, Option>;

export const output = {
  "log-format": {
    group: "Output",
    verbs: every,
    kind: choice("auto", "text", "json"),
    default: "auto",
    help: "Form of the log on standard error; auto is text on a terminal, JSON elsewhere.",
  },
  "log-level": {
    group: "Output",
    verbs: every,
    kind: choice("debug", "info", "warn", "error"),
    default: "info",
    help: "Least level that is logged.",
  },
  report: { group: "Output", verbs: every, kind: text("FILE|-"), help: "Write a JSON report at the end." },
  "termination-log": {
    group: "Output",
    verbs: every,
    kind: text("FILE"),
    default: "/dev/termination-log",
    help: "Write one line of JSON at the end; the default only where it exists.",
  },
  "metrics-listen": {
    group: "Output",
    verbs: every,
    kind: listenAddress,
    help: "Serve /metrics, /healthz and /progress.",
    defaultNote: "off",
  },
  "metrics-push": {
    group: "Output",
    verbs: every,
    kind: httpUrl,
    help: "Push the metrics to this Pushgateway, at the start, every 15 seconds and at the end.",
    defaultNote: "off",
  },
  "metrics-label": {
    group: "Output",
    verbs: every,
    kind: metricsLabels,
    help: "Label of the group of metrics that is pushed. Repeatable.",
    defaultNote: "job=oss_populator",
  },
  "owner-uid": {
    group: "Output",
    verbs: writing,
    kind: text("UID"),
    help: "Add kubevirt_cdi_import_progress_total with this ownerUID to the metrics.",
  },
  "quit-url": {
    group: "Output",
    verbs: every,
    kind: httpUrl,
    help: "POST there at the very end, so that a sidecar ends too.",
    defaultNote: "off",
  },
} as const satisfies Record<string, Option>;
