import { alibabaKeys, besideThis, type Peer } from "./peer.ts";

/** This project's build, with its defaults. */
export const ours: Peer = {
  name: "oss-populator",
  verifies: true,
  settings: "populate, defaults; CRC-64 of every object, checkpoint, own syncfs",
  available: true,
  command: ({ url, caFile, bucket, prefix, target }) => ({
    program: process.execPath,
    args: [
      ...[besideThis("../../dist/cli.js"), "populate", "--bucket", bucket, "--region", "cn-hangzhou"],
      ...["--endpoint", url, "--path", prefix, "--target", target, "--log-level", "warn", "--fail-hold", "0"],
      ...(caFile === undefined ? [] : ["--ca-file", caFile]),
    ],
    env: alibabaKeys,
  }),
};
