import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { joinSockets } from "./join-sockets.ts";

/** A way to a server that can be closed and opened again, on the same port. */
export interface Gate extends AsyncDisposable {
  readonly url: string;
  /** Ends every connection; new ones are refused. */
  close(): Promise<void>;
  open(): Promise<void>;
  /** Connections that have been made so far. */
  readonly connections: number;
}

export async function openGate(toPort: number): Promise<Gate> {
  const sockets = new Set<Socket>();
  let connections = 0;
  let server: Server | undefined;
  let port = 0;
  const pipe = (near: Socket): void => {
    connections++;
    joinSockets(near, toPort, sockets);
  };
  const open = async (): Promise<void> => {
    server = createServer(pipe).listen(port, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    port = typeof address === "object" && address !== null ? address.port : 0;
  };
  const close = async (): Promise<void> => {
    const closed = server?.listening ? once(server, "close") : undefined;
    server?.close();
    for (const socket of sockets) socket.resetAndDestroy();
    await closed;
  };
  await open();
  return {
    url: `http://127.0.0.1:${port}`,
    open,
    close,
    get connections() {
      return connections;
    },
    [Symbol.asyncDispose]: close,
  };
}
