import { alibabaKeys, findProgram, type Peer, type Shape } from "./peer.ts";

const program = findProgram("oss-go-sdk");
const objects: Readonly<Record<Shape, number>> = { large: 4, small: 32, mixed: 16 };

export const goSdk: Peer = {
  name: "Go SDK",
  verifies: true,
  settings:
    "official SDK v2: Downloader with 4 parts of 8 MiB at a time above 6 MiB, GetObjectToFile below; 4 objects at a time for large, 32 for small, 16 for mixed; CRC-64 on",
  available: program !== undefined,
  command: ({ shape, url, bucket, prefix, target }) => ({
    program: program ?? "oss-go-sdk",
    args: [url, bucket, prefix, target, String(objects[shape]), "4", String(8 * 2 ** 20)],
    env: alibabaKeys,
  }),
};
