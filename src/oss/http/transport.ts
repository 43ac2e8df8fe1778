/** The port of the two transports: one request, and whoever takes its response. */

export interface HttpRequest {
  readonly method: "GET" | "HEAD";
  /** Path and query as they go on the wire, already percent-encoded; sent verbatim. */
  readonly path: string;
  /** Without Host, which the transport owns unless it is given here. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface ResponseHead {
  readonly status: number;
  /** Lower-case names; of a repeated header the values joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
}

/** Lets a paused connection read on. */
export interface Flow {
  resume(): void;
}

/**
 * Receives one response. The transport fills the memory that the handler hands out; anything the handler throws ends
 * the request with that error and closes the connection.
 */
export interface ResponseHandler {
  /** Called once, before any body byte. */
  head(head: ResponseHead, flow: Flow): void;
  /** Memory for the next body bytes, at least one byte long; undefined pauses the connection until `flow.resume()`. */
  buffer(): Uint8Array | undefined;
  /** The first `bytes` of the memory handed out last hold the next body bytes. */
  filled(bytes: number): void;
}

/** Takes one response to its end; `ended` or `failed` is the last call, and made once. */
export interface Receiver extends ResponseHandler {
  /** The body ended where its framing said. */
  ended(): void;
  /**
   * With CopyError `unreachable` (no connection), `interrupted` (ended early, stalled, too slow) or `protocol`
   * (malformed), with what a method of the handler threw, or with the signal's reason.
   */
  failed(error: unknown): void;
}

/** HTTP to one origin over kept-alive connections. Retries nothing; follows no redirect; decodes no content coding. */
export interface Transport extends AsyncDisposable {
  /** Sends a request. The receiver is told of everything else, and of nothing before this call has returned. */
  send(request: HttpRequest, receiver: Receiver, signal: AbortSignal): void;
}

export interface TransportTimeouts {
  readonly connectMs: number;
  /** Longest silence while we are ready to receive. */
  readonly stallMs: number;
  /** Least bytes per second over 30 s of being ready to receive; 0 is off. */
  readonly minBytesPerSecond: number;
}
