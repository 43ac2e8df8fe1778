/** Entry of a data thread: receives, checksums and writes; decides nothing. */
import { parentPort, workerData } from "node:worker_threads";
import { buildPlane } from "./build-plane.ts";
import type { ThreadData } from "./thread-protocol.ts";
import { ThreadServer } from "./thread-server.ts";

if (!parentPort) throw new Error("a data thread runs in a worker only");
// The main thread made it with this very type.
const { setup, signing } = workerData as ThreadData;
new ThreadServer(parentPort, await buildPlane(setup, signing), signing).start();
