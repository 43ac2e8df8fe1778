import type { Shard } from "../types.ts";

/** One frozen value that says everything a run needs; made by `parseConfig`, never changed afterwards. */

export type Verb = "populate" | "copy" | "verify";
export type Addressing = "auto" | "virtual" | "path" | "cname";
export type LogLevel = "debug" | "info" | "warn" | "error";

export interface SourceConfig {
  readonly bucket: string;
  /** As given, without a leading slash; "" is the whole bucket; a trailing slash means the directory only. */
  readonly path: string;
  /** Signing region, such as `cn-hangzhou`; undefined only with signature V1 or without credentials. */
  readonly region: string | undefined;
  /** Host or URL, scheme and port resolved; without the bucket. IPv6 addresses are without brackets. */
  readonly endpoint: Readonly<{ scheme: "http" | "https"; host: string; port: number }>;
  readonly addressing: Addressing;
  readonly signature: "v4" | "v1";
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** A file of keys below the directory, one a line; `-` is standard input. */
  readonly filesFrom: string | undefined;
  readonly allowEmpty: boolean;
  /** The share of the objects that this process takes; undefined takes all. */
  readonly shard: Shard | undefined;
  /** PEM certificates trusted besides the usual ones. */
  readonly caFile: string | undefined;
  readonly transport: "socket" | "undici";
}

export interface CredentialsConfig {
  readonly anonymous: boolean;
  /** The role options, or the role of the spec: a role that is named is the only identity tried. */
  readonly role:
    | Readonly<{
        roleArn: string;
        oidcProviderArn: string;
        oidcTokenFile: string;
        stsEndpoint: string | undefined;
        /** Options win over keys in the environment; the role of the spec does not. */
        from: "options" | "spec";
      }>
    | undefined;
  /** `host` or `host:port`, always HTTPS. */
  readonly stsEndpoint: string | undefined;
}

export interface TargetConfig {
  /** Absolute path. */
  readonly directory: string;
  readonly allowRootFilesystem: boolean;
  readonly allowNonEmpty: boolean;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly fileMode: number;
  readonly dirMode: number;
  readonly chownRoot: boolean;
  readonly mtime: boolean;
  readonly overwrite: "always" | "never" | "older";
  readonly unsupported: "fail" | "skip";
  /** Whether a killed run is continued. */
  readonly resume: boolean;
  /** Age from which a checkpoint is not trusted any more. */
  readonly resumeWithinMs: number;
  /** What was given and is of no use where the target is a block device, as it was given. */
  readonly directoryOnly: readonly string[];
}

export interface EffortConfig {
  /** Bytes per second over everything received; undefined is unlimited. */
  readonly limitBytesPerSecond: number | undefined;
  readonly concurrency: number;
  readonly partBytes: number;
  readonly memoryBytes: number;
  /** The cgroup's; undefined is unlimited. */
  readonly memoryLimitBytes: number | undefined;
  readonly threads: number;
  /** The same for a target in memory. */
  readonly threadsIntoMemory: number;
  readonly connectTimeoutMs: number;
  readonly stallTimeoutMs: number;
  readonly minBytesPerSecond: number;
  readonly retries: number;
  readonly retryForMs: number;
  /** Failed objects after which the run stops; undefined is no limit. */
  readonly maxFailures: number | undefined;
  readonly failHoldMs: number;
  /** Whether `failHoldMs` is the default, which doubles with each attempt that failed the same way. */
  readonly failHoldGrows: boolean;
}

export interface OutputConfig {
  readonly logFormat: "auto" | "text" | "json";
  readonly logLevel: LogLevel;
  /** `-` is standard output. */
  readonly report: string | undefined;
  readonly terminationLog: string;
  /** Whether the termination log was asked for; the default is used only where it exists. */
  readonly terminationLogGiven: boolean;
  /** An empty host is every address; IPv6 addresses are without brackets; port 0 is any free one. */
  readonly metricsListen: Readonly<{ host: string; port: number }> | undefined;
  /** Root of a Pushgateway; may hold a user and a password. */
  readonly metricsPush: string | undefined;
  readonly metricsLabels: Readonly<Record<string, string>>;
  readonly ownerUid: string | undefined;
  readonly quitUrl: string | undefined;
}

export interface Config {
  readonly verb: Verb;
  readonly dryRun: boolean;
  readonly source: SourceConfig;
  readonly credentials: CredentialsConfig;
  readonly target: TargetConfig;
  readonly effort: EffortConfig;
  readonly output: OutputConfig;
  /** Things worth telling that do not stop the run, one sentence each. */
  readonly warnings: readonly string[];
}
