import { findProgram, type Peer, type Shape, s3Keys, trusting } from "./peer.ts";

const program = findProgram("s5cmd");
const workers: Readonly<Record<Shape, number>> = { large: 4, small: 32, mixed: 32 };

export const s5cmd: Peer = {
  name: "s5cmd",
  verifies: false,
  settings: "cp of a wildcard; 4 workers for large, 32 for small and mixed; 4 parts of 16 MiB at a time in a file",
  available: program !== undefined,
  command: ({ shape, url, caFile, bucket, prefix, target }) => ({
    program: program ?? "s5cmd",
    args: [
      ...["--endpoint-url", url, "--numworkers", String(workers[shape]), "--log", "error"],
      ...["cp", "--concurrency", "4", "--part-size", "16", `s3://${bucket}/${prefix}*`, `${target}/`],
    ],
    env: { ...s3Keys, ...trusting(caFile) },
  }),
};
