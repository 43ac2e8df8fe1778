import type { HttpRequest, ResponseHandler, Transport } from "../../src/oss/http/transport.ts";

/** One request of a transport as a promise. */
export function requested(
  transport: Transport,
  request: HttpRequest,
  handler: ResponseHandler,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((ended, failed) => {
    const receiver = {
      head: handler.head.bind(handler),
      buffer: () => handler.buffer(),
      filled: (bytes: number) => handler.filled(bytes),
      ended,
      failed,
    };
    transport.send(request, receiver, signal);
  });
}
