import { findProgram, type Peer, type Shape, s3Keys } from "./peer.ts";

const program = findProgram("rclone");
const transfers: Readonly<Record<Shape, number>> = { large: 4, small: 32, mixed: 16 };

export const rclone: Peer = {
  name: "rclone",
  // An ETag that is no MD5, as multipart uploads have it, leaves it nothing to compare.
  verifies: false,
  settings:
    "S3 backend (Alibaba); 4 transfers for large, 32 for small, 16 for mixed; 4 streams a file from 64 MiB; --fast-list --no-check-dest --inplace, no HEAD",
  available: program !== undefined,
  command: ({ shape, url, caFile, bucket, prefix, target, workPath }) => ({
    program: program ?? "rclone",
    args: [
      ...["copy", `:s3:${bucket}/${prefix}`, target, "--s3-provider", "Alibaba", "--s3-endpoint", url],
      ...["--s3-env-auth", "--s3-force-path-style", "--s3-no-check-bucket", "--s3-no-head-object"],
      ...["--transfers", String(transfers[shape]), "--checkers", "16", "--fast-list", "--no-check-dest", "--inplace"],
      ...["--use-server-modtime", "--multi-thread-cutoff", "64Mi", "--multi-thread-streams", "4"],
      ...["--multi-thread-chunk-size", "64Mi", "--config", `${workPath}/rclone.conf`, "--log-level", "ERROR"],
      ...(caFile === undefined ? [] : ["--ca-cert", caFile]),
    ],
    env: s3Keys,
  }),
};
