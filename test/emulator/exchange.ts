import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Counters, RequestRecord } from "./counters.ts";
import type { FiredFaults } from "./faults.ts";
import type { RateMeter } from "./rate-meter.ts";

/** Where an exchange accounts for itself. */
export interface Books {
  readonly counters: Counters;
  readonly meter: RateMeter;
  /** Ends a connection with RST, also under TLS. */
  reset(socket: Socket): void;
}

/** One request, its answer under way, and what is counted of both. */
export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly record: RequestRecord;
  readonly faults: FiredFaults;
  readonly startedAt = performance.now();
  /** By the emulator's clock. */
  readonly nowMs: number;
  readonly #books: Books;

  constructor(
    parts: Pick<Exchange, "request" | "response" | "record" | "faults" | "nowMs"> & { readonly books: Books },
  ) {
    this.request = parts.request;
    this.response = parts.response;
    this.record = parts.record;
    this.faults = parts.faults;
    this.nowMs = parts.nowMs;
    this.#books = parts.books;
    const { counters } = parts.books;
    counters.concurrentRequests += 1;
    counters.maxConcurrentRequests = Math.max(counters.maxConcurrentRequests, counters.concurrentRequests);
    parts.response.once("close", () => {
      parts.record.finished = true;
      parts.record.finishedAtMs = this.nowMs + performance.now() - this.startedAt;
      counters.concurrentRequests -= 1;
    });
  }

  /** True if nobody is left to answer. */
  get gone(): boolean {
    return this.response.destroyed || this.request.socket.destroyed;
  }

  head(status: number, headers: string[]): void {
    const { byStatus } = this.#books.counters;
    byStatus[status] = (byStatus[status] ?? 0) + 1;
    this.record.status = status;
    this.response.writeHead(status, headers);
  }

  /** Counts bytes of the body that are handed to the socket now. */
  count(bytes: number, ofObject: boolean): void {
    const { counters, meter } = this.#books;
    counters.bytesSent += bytes;
    if (ofObject) counters.objectBytesSent += bytes;
    this.record.bytesSent += bytes;
    meter.handed(this.request.socket, bytes);
  }

  reset(): void {
    this.#books.reset(this.request.socket);
  }
}
