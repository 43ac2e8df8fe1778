/** The public API: the same engine as the command line, without its process. */
export type { Config } from "./config/config.ts";
export { type ConfigInput, type ParsedConfig, parseConfig } from "./config/parse.ts";
export { ConfigError, CopyError, type ErrorKind, errorKinds, Interruption } from "./errors.ts";
export { systemClock } from "./run/clock.ts";
export type { RunHost } from "./run/host.ts";
export { type RunResult, run } from "./run.ts";
export type { Clock, CopyReport, Logger, Progress } from "./types.ts";
