import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "../measure.ts";

/** What the objects of a job are like; peers choose their settings by it. */
export type Shape = "large" | "small" | "mixed";

/** Everything under `prefix` (which ends with a slash) is to be copied into the empty folder `target`. */
export interface Job {
  readonly shape: Shape;
  readonly url: string;
  readonly caFile: string | undefined;
  readonly bucket: string;
  readonly prefix: string;
  readonly target: string;
  /** Scratch folder that is neither server nor target. */
  readonly workPath: string;
}

export interface Peer {
  readonly name: string;
  /** Whether it checks a checksum of what it received against the service's. */
  readonly verifies: boolean;
  /** Its settings in words, for the report. */
  readonly settings: string;
  readonly available: boolean;
  command(job: Job): Command;
}

export const accessKey = { id: "bench-id", secret: "bench-secret" };

/** What Alibaba's own programs read. */
export const alibabaKeys = {
  ALIBABA_CLOUD_ACCESS_KEY_ID: accessKey.id,
  ALIBABA_CLOUD_ACCESS_KEY_SECRET: accessKey.secret,
  OSS_ACCESS_KEY_ID: accessKey.id,
  OSS_ACCESS_KEY_SECRET: accessKey.secret,
};

/** What S3 programs read. */
export const s3Keys = {
  AWS_ACCESS_KEY_ID: accessKey.id,
  AWS_SECRET_ACCESS_KEY: accessKey.secret,
  AWS_REGION: "cn-hangzhou",
  AWS_EC2_METADATA_DISABLED: "true",
};

/** Trust in the server's certificate, in the words of OpenSSL, Go and Node. */
export function trusting(caFile: string | undefined): Record<string, string> {
  return caFile === undefined ? {} : { SSL_CERT_FILE: caFile, NODE_EXTRA_CA_CERTS: caFile };
}

/** Where `install` puts programs. */
const cache =
  process.env.OSS_POPULATOR_BENCH_CACHE ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "oss-populator-bench");

export const pythonProgram = join(cache, "python/bin/python");

/** The newest there is: from the cache, otherwise from the path; undefined when it is nowhere. */
export function findProgram(name: string): string | undefined {
  const folders = [join(cache, "bin"), ...(process.env.PATH ?? "").split(":")];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

export function besideThis(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
