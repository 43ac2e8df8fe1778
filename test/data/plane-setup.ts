import type { PlaneSetup } from "../../src/data/build-plane.ts";
import type { Emulator } from "../emulator/server.ts";

/** A plane that copies from the emulator's bucket `b` to the folder `root`. */
export function planeSetup(emulator: Emulator, root: string, placement: "direct" | "staged" = "direct"): PlaneSetup {
  const origin = { scheme: "http", host: "127.0.0.1", port: emulator.port } as const;
  const timeouts = { connectMs: 5_000, stallMs: 5_000, minBytesPerSecond: 0 };
  return {
    transport: { kind: "socket", options: { origin, connections: 8, timeouts } },
    requests: {
      bucket: "b",
      signature: { version: "v4", region: emulator.region },
      address: { origin, host: `127.0.0.1:${emulator.port}`, pathPrefix: "/b" },
    },
    memoryBytes: 16 * 2 ** 20,
    writer: { root, placement, fileMode: 0o644, dirMode: 0o755, mtime: true, fsyncFiles: false, io: "direct" },
  };
}
