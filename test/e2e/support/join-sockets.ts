import { connect, type Socket } from "node:net";

/** Leads a connection on to a port of this machine; both ends are in `sockets` until they close, one with the other. */
export function joinSockets(near: Socket, toPort: number, sockets: Set<Socket>): void {
  const far = connect(toPort, "127.0.0.1");
  for (const [one, other] of [
    [near, far],
    [far, near],
  ] as const) {
    sockets.add(one);
    one.on("error", () => one.destroy());
    one.on("close", () => {
      sockets.delete(one);
      other.destroy();
    });
    one.pipe(other);
  }
}
