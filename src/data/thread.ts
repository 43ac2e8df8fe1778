/** Entry of a data thread: receives, checksums and writes; decides nothing. */
import { parentPort } from "node:worker_threads";
import { buildPlane } from "./build-plane.ts";
import type { ToThread } from "./thread-protocol.ts";
import { ThreadServer } from "./thread-server.ts";

if (!parentPort) throw new Error("a data thread runs in a worker only");
const port = parentPort;
/** What comes while the plane is being made. */
const early: ToThread[] = [];

/** A plane that cannot be made ends the thread with its error. */
async function receive(message: ToThread): Promise<void> {
  if (message.kind !== "open") {
    early.push(message);
    return;
  }
  const { setup, signing } = message;
  const server = new ThreadServer(port, await buildPlane(setup, signing), signing);
  port.off("message", receive);
  server.start(early);
}

port.on("message", receive);
