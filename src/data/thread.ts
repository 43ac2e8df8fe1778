/** Entry of a data thread: receives, checksums and writes; decides nothing. */
import { parentPort } from "node:worker_threads";
import { buildPlane } from "./build-plane.ts";
import { type FromThread, flattenError, type ToThread } from "./thread-protocol.ts";
import { ThreadServer } from "./thread-server.ts";

if (!parentPort) throw new Error("a data thread runs in a worker only");
const port = parentPort;
/** What comes while the plane is being made. */
const early: ToThread[] = [];

async function receive(message: ToThread): Promise<void> {
  if (message.kind !== "open") {
    early.push(message);
    return;
  }
  try {
    const { setup, signing } = message;
    const server = new ThreadServer(port, await buildPlane(setup, signing), signing);
    port.off("message", receive);
    server.start(early);
  } catch (error) {
    // Told, not thrown: what is thrown here arrives without its class, and a target that is gone would be a defect.
    const last: FromThread = { replies: [], copied: [], stats: undefined, death: flattenError(error) };
    port.postMessage(last);
    port.close();
  }
}

port.on("message", receive);
