/** One request and its response on undici's side of the Transport port. */
import { type Dispatcher, errors } from "undici";
import { CopyError } from "../../errors.ts";
import type { Abortable } from "./aborts.ts";
import { BodyPump } from "./body-pump.ts";
import { codeOf, interrupted, malformed, reasonOf, unreachable, withReceived } from "./failures.ts";
import type { ResponseHandler, ResponseHead } from "./transport.ts";
import type { Origin } from "./transport-options.ts";
import type { Watch, Watchdog } from "./watchdog.ts";

export interface ExchangeContext {
  readonly origin: Origin;
  readonly watchdog: Watchdog;
  /** Whether the connection that ended with this error had carried an answer before. */
  wasReused(error: Error): boolean;
}

/** `stale`: a kept-alive connection was closed before the first byte of an answer, so the request may be sent once more. */
export type ExchangeOutcome = "done" | "stale";

export class UndiciExchange implements Dispatcher.DispatchHandler, Abortable {
  bagIndex = -1;
  readonly outcome: Promise<ExchangeOutcome>;
  readonly #method: string;
  readonly #handler: ResponseHandler;
  readonly #context: ExchangeContext;
  readonly #pump: BodyPump;
  readonly #resolve: (outcome: ExchangeOutcome) => void;
  readonly #reject: (reason: unknown) => void;
  #phase: "queued" | "sent" | "answered" | "body" | "ended" | "settled" = "queued";
  #abortReason: Error | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #watch: Watch | undefined;
  #receivedBytes = 0;
  #resuming = false;

  constructor(method: string, handler: ResponseHandler, context: ExchangeContext) {
    this.#method = method;
    this.#handler = handler;
    this.#context = context;
    this.#pump = new BodyPump(handler);
    const { promise, resolve, reject } = Promise.withResolvers<ExchangeOutcome>();
    this.outcome = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Ends the request with exactly `reason` and closes its connection. */
  giveUp(reason: unknown): void {
    if (this.#phase === "settled") return;
    this.#phase = "settled";
    this.#context.watchdog.unwatch(this.#watch);
    this.#pump.clear();
    this.#abortReason = new Error("request given up", { cause: reason });
    this.#controller?.abort(this.#abortReason);
    this.#reject(reason);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#abortReason !== undefined) {
      controller.abort(this.#abortReason);
      return;
    }
    this.#phase = "sent";
    this.#watch = this.#context.watchdog.watch((error) => this.#failed(error));
  }

  onResponseStarted(): void {
    if (this.#phase === "sent") this.#phase = "answered";
    this.#watch?.received(0);
  }

  onResponseStart(_: unknown, status: number, headers: Readonly<Record<string, string | string[] | undefined>>): void {
    if (status < 200 || this.#phase !== "answered") return;
    this.#phase = "body";
    this.#watch?.received(0);
    const head = responseHead(status, headers);
    if (this.#method !== "HEAD" && lacksLength(head)) {
      this.#failed(malformed(this.#context.origin, `status ${status} without the length of its body`));
      return;
    }
    try {
      this.#handler.head(head, { resume: () => this.#resume() });
    } catch (error) {
      this.giveUp(error);
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#phase !== "body") return;
    this.#receivedBytes += chunk.length;
    this.#watch?.received(chunk.length);
    try {
      this.#pump.push(chunk);
    } catch (error) {
      this.giveUp(error);
      return;
    }
    if (this.#pump.empty) return;
    this.#watch?.pause();
    controller.pause();
  }

  onResponseEnd(): void {
    if (this.#phase !== "body") return;
    this.#phase = "ended";
    if (this.#pump.empty) this.#settle("done");
  }

  onResponseError(_: unknown, error: Error): void {
    if (this.#phase === "settled") return;
    if (this.#phase === "sent" && error !== this.#abortReason && this.#closedWhileIdle(error)) {
      this.#settle("stale");
      return;
    }
    this.#failed(this.#classify(error));
  }

  #settle(outcome: ExchangeOutcome): void {
    this.#phase = "settled";
    this.#context.watchdog.unwatch(this.#watch);
    this.#resolve(outcome);
  }

  #failed(error: Error): void {
    this.giveUp(error instanceof CopyError ? withReceived(error, this.#receivedBytes) : error);
  }

  /** Deferred: undici's parser must not be entered from a callback of another connection's parser. */
  #resume(): void {
    if (this.#resuming || this.#pump.empty) return;
    this.#resuming = true;
    queueMicrotask(() => {
      this.#resuming = false;
      this.#drain();
    });
  }

  #drain(): void {
    if (this.#phase === "settled") return;
    try {
      this.#pump.drain();
    } catch (error) {
      this.giveUp(error);
      return;
    }
    if (!this.#pump.empty) return;
    if (this.#phase === "ended") {
      this.#settle("done");
      return;
    }
    this.#watch?.resume();
    this.#controller?.resume();
  }

  #closedWhileIdle(error: Error): boolean {
    const code = codeOf(error);
    const closed = code === "UND_ERR_SOCKET" || code === "ECONNRESET" || code === "EPIPE";
    return closed && !isBadResponse(error) && this.#context.wasReused(error);
  }

  #classify(error: Error): Error {
    if (error instanceof CopyError) return error;
    const { origin } = this.#context;
    const code = codeOf(error);
    if (error instanceof errors.HTTPParserError) return this.#unparsable(error);
    if (code === undefined || code === "UND_ERR_INVALID_ARG" || code === "UND_ERR_NOT_SUPPORTED") return error;
    if (code === "UND_ERR_DESTROYED" || code === "UND_ERR_CLOSED") {
      return interrupted(origin, "the connections were closed", error);
    }
    if (this.#phase === "queued") return unreachable(origin, error);
    if (code === "UND_ERR_HEADERS_OVERFLOW") return malformed(origin, "its head is too large", error);
    if (isBadResponse(error)) return malformed(origin, error.message, error);
    if (code === "UND_ERR_RES_CONTENT_LENGTH_MISMATCH" && this.#phase !== "body") {
      return malformed(origin, "contradicting lengths", error);
    }
    return interrupted(origin, this.#ending(code, error), error);
  }

  #unparsable(error: Error): CopyError {
    const { origin } = this.#context;
    // A message that ends where it must not is a lost connection, not a server that cannot speak.
    const cut = error.message.includes("Invalid EOF state");
    return cut ? interrupted(origin, "connection closed in the body", error) : malformed(origin, error.message, error);
  }

  #ending(code: string, error: Error): string {
    const where = this.#phase === "body" ? "in the body" : "before the response";
    const closed = code === "UND_ERR_SOCKET" || code === "UND_ERR_RES_CONTENT_LENGTH_MISMATCH";
    return `${closed ? "connection closed" : reasonOf(error)} ${where}`;
  }
}

/** undici's words for an answer that nobody asked for and for an upgrade; both come with the code of a closed socket. */
function isBadResponse(error: Error): boolean {
  return error.message === "bad response" || error.message === "bad upgrade";
}

function responseHead(status: number, headers: Readonly<Record<string, string | string[] | undefined>>): ResponseHead {
  const joined: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue;
    // undici leaves the blanks after a value.
    joined[name] = typeof value === "string" ? value.trim() : value.map((part) => part.trim()).join(", ");
  }
  return { status, headers: joined };
}

/** A success that ends when the connection does cannot be told from one that was cut short. */
function lacksLength(head: ResponseHead): boolean {
  if (head.status !== 200 && head.status !== 206) return false;
  return head.headers["content-length"] === undefined && head.headers["transfer-encoding"] === undefined;
}
