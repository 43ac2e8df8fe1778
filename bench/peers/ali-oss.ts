import { alibabaKeys, besideThis, type Peer, type Shape, trusting } from "./peer.ts";

const concurrency: Readonly<Record<Shape, number>> = { large: 4, small: 32, mixed: 32 };

/** The naive program, which is the baseline. */
export const aliOss: Peer = {
  name: "ali-oss",
  verifies: false,
  settings: "ali-oss + p-limit, whole objects as streams; 4 at a time for large, 32 for small and mixed",
  available: true,
  command: ({ shape, url, caFile, bucket, prefix, target }) => ({
    program: process.execPath,
    args: [besideThis("ali-oss.mjs"), url, bucket, prefix, target, String(concurrency[shape])],
    env: { ...alibabaKeys, ...trusting(caFile) },
  }),
};
