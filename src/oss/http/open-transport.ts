/** Makes a transport by name, and loads only that one's modules. */

import { SocketTransport } from "./socket-transport.ts";
import type { Transport } from "./transport.ts";
import type { UndiciTransportOptions } from "./undici-transport.ts";

/** As plain data, so that it can cross to a data thread. */
export interface TransportSetup {
  readonly kind: "socket" | "undici";
  readonly options: UndiciTransportOptions;
}

/** undici takes 60 to 170 ms of CPU to load, in each thread: whoever does not need it does not pay for it. */
export async function openTransport({ kind, options }: TransportSetup): Promise<Transport> {
  if (kind === "socket") return new SocketTransport(options);
  const { UndiciTransport } = await import("./undici-transport.ts");
  return new UndiciTransport(options);
}
