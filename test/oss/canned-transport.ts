import type { HttpRequest, Receiver, ResponseHandler, ResponseHead, Transport } from "../../src/oss/http/transport.ts";

export interface CannedAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** What the transport rejects with once the body is through. */
  readonly failure?: Error;
}

/** A Transport that gives prepared answers in turn, in pieces no larger than `pieceBytes`, and keeps the requests. */
export class CannedTransport implements Transport {
  readonly requests: HttpRequest[] = [];
  readonly #answers: CannedAnswer[];
  readonly #pieceBytes: number;

  constructor(answers: readonly CannedAnswer[], pieceBytes = 7) {
    this.#answers = [...answers];
    this.#pieceBytes = pieceBytes;
  }

  send(request: HttpRequest, receiver: Receiver, signal: AbortSignal): void {
    this.#answer(request, receiver, signal).then(
      () => receiver.ended(),
      (error: unknown) => receiver.failed(error),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #answer(request: HttpRequest, handler: ResponseHandler, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.requests.push(request);
    const answer = this.#answers.shift();
    if (answer === undefined) throw new Error("no answer is left");
    const head: ResponseHead = { status: answer.status, headers: answer.headers ?? {} };
    let wake: () => void = () => {};
    handler.head(head, { resume: () => wake() });
    let rest = Buffer.from(answer.body ?? "");
    while (rest.length > 0) {
      const memory = handler.buffer();
      if (memory === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      const bytes = Math.min(memory.length, rest.length, this.#pieceBytes);
      memory.set(rest.subarray(0, bytes));
      handler.filled(bytes);
      rest = rest.subarray(bytes);
    }
    if (answer.failure !== undefined) throw answer.failure;
  }
}

export function header(request: HttpRequest | undefined, name: string): string | undefined {
  return request?.headers[name];
}
