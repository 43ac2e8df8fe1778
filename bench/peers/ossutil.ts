import { accessKey, findProgram, type Peer, type Shape } from "./peer.ts";

const program = findProgram("ossutil");
const jobs: Readonly<Record<Shape, number>> = { large: 4, small: 32, mixed: 32 };

export const ossutil: Peer = {
  name: "ossutil",
  verifies: true,
  settings: "1.7 cp -r; 4 jobs for large, 32 for small and mixed; 4 parts of 16 MiB at a time in a file; CRC-64 on",
  available: program !== undefined,
  command: ({ shape, url, caFile, bucket, prefix, target, workPath }) => ({
    program: program ?? "ossutil",
    args: [
      ...["cp", "-r", "-f", `oss://${bucket}/${prefix}`, `${target}/`, "-e", url, "-i", accessKey.id],
      ...[
        "-k",
        accessKey.secret,
        "--jobs",
        String(jobs[shape]),
        "--parallel",
        "4",
        "--part-size",
        String(16 * 2 ** 20),
      ],
      ...["--bigfile-threshold", String(64 * 2 ** 20), "--checkpoint-dir", `${workPath}/ossutil-checkpoint`],
      ...["--output-dir", `${workPath}/ossutil-output`, "--config-file", `${workPath}/ossutil.conf`],
      ...(caFile === undefined ? [] : ["--skip-verify-cert"]),
    ],
  }),
};
