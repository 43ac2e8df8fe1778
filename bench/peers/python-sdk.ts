import { existsSync } from "node:fs";
import { alibabaKeys, besideThis, type Peer, pythonProgram, type Shape } from "./peer.ts";

const objects: Readonly<Record<Shape, number>> = { large: 4, small: 16, mixed: 16 };

export const pythonSdk: Peer = {
  name: "Python SDK",
  verifies: true,
  settings: "official SDK v2 in threads: Downloader above 6 MiB, get_object_to_file below; 4 or 16 objects at a time",
  available: existsSync(pythonProgram),
  command: ({ shape, url, bucket, prefix, target }) => ({
    program: pythonProgram,
    args: [besideThis("python-sdk.py"), url, bucket, prefix, target, String(objects[shape])],
    env: alibabaKeys,
  }),
};
