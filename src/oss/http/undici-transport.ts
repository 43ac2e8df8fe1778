/** The reference transport: undici, with proxies. It serves where a proxy is in the way, or when it is asked for. */
import type { SecureContext } from "node:tls";
import { buildConnector, type Dispatcher, EnvHttpProxyAgent, Pool } from "undici";
import { Aborts } from "./aborts.ts";
import { unreachable } from "./failures.ts";
import type { HttpRequest, Receiver, ResponseHandler, Transport } from "./transport.ts";
import {
  authority,
  maxHeadBytes,
  maxIdleMs,
  type Origin,
  serverName,
  type TransportOptions,
} from "./transport-options.ts";
import { secureContext, trustedCertificates } from "./trust.ts";
import { UndiciExchange } from "./undici-exchange.ts";
import { Watchdog } from "./watchdog.ts";

/** URLs of proxies, and the hosts that need none, in the syntax of the variables `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`. */
export interface ProxyOptions {
  readonly httpProxy?: string | undefined;
  readonly httpsProxy?: string | undefined;
  readonly noProxy?: string | undefined;
}

export interface UndiciTransportOptions extends TransportOptions {
  /** The process's own variables are never read. */
  readonly proxy?: ProxyOptions | undefined;
}

/**
 * A request whose kept-alive connection turns out to be closed before the first byte of an answer is sent once more, on
 * a connection of its own: that is a matter of connections, not of the service.
 */
export class UndiciTransport implements Transport {
  readonly #options: UndiciTransportOptions;
  readonly #origin: string;
  readonly #readBefore = new WeakMap<Error, number>();
  readonly #secureContext: SecureContext | undefined;
  readonly #dispatcher: Dispatcher;
  readonly #watchdog: Watchdog;
  readonly #aborts = new Aborts();

  constructor(options: UndiciTransportOptions) {
    this.#options = options;
    this.#origin = `${options.origin.scheme}://${authority(options.origin)}`;
    const ownTls = options.origin.scheme === "https" && !usesProxy(options);
    this.#secureContext = ownTls ? secureContext(options.ca) : undefined;
    this.#watchdog = new Watchdog(options.timeouts, options.speedWindowMs);
    this.#dispatcher = this.#connect(options.connections);
  }

  send(request: HttpRequest, receiver: Receiver, signal: AbortSignal): void {
    this.#request(request, receiver, signal).then(
      () => receiver.ended(),
      (error: unknown) => receiver.failed(error),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispatcher.destroy();
    this.#watchdog[Symbol.dispose]();
  }

  async #request(request: HttpRequest, handler: ResponseHandler, signal: AbortSignal): Promise<void> {
    if ((await this.#exchange(this.#dispatcher, request, handler, signal)) === "done") return;
    const fresh = this.#connect(1);
    try {
      await this.#exchange(fresh, request, handler, signal);
    } finally {
      await fresh.destroy();
    }
  }

  #exchange(dispatcher: Dispatcher, request: HttpRequest, handler: ResponseHandler, signal: AbortSignal) {
    signal.throwIfAborted();
    const exchange = new UndiciExchange(request.method, handler, {
      origin: this.#options.origin,
      watchdog: this.#watchdog,
      wasReused: (error) => this.#wasReused(error),
    });
    this.#aborts.add(signal, exchange);
    const { hostHeader } = this.#options;
    const headers = hostHeader === undefined ? request.headers : { host: hostHeader, ...request.headers };
    // undici asks for a new connection after each HEAD unless told otherwise.
    const options = { origin: this.#origin, path: request.path, method: request.method, headers, reset: false };
    dispatcher.dispatch(options, exchange);
    return exchange.outcome.finally(() => this.#aborts.remove(signal, exchange));
  }

  #connect(connections: number): Dispatcher {
    const options = this.#options;
    const common = {
      allowH2: false,
      pipelining: 1,
      connections,
      // Our own watchdog stands still while we have paused; undici's timers do not.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: maxIdleMs,
      keepAliveMaxTimeout: maxIdleMs,
      maxHeaderSize: maxHeadBytes,
    };
    if (!usesProxy(options)) return new Pool(this.#origin, { ...common, connect: this.#connector() });
    const tls = { ...verified, ...(options.ca === undefined ? {} : { ca: trustedCertificates(options.ca) }) };
    return new EnvHttpProxyAgent({
      ...common,
      connectTimeout: options.timeouts.connectMs,
      // Empty texts, not undefined: undici would look into the environment.
      httpProxy: options.proxy?.httpProxy ?? "",
      httpsProxy: options.proxy?.httpsProxy ?? "",
      noProxy: options.proxy?.noProxy ?? "",
      connect: { ...tls, timeout: options.timeouts.connectMs },
      requestTls: tls,
    });
  }

  #connector(): buildConnector.connector {
    const { origin, timeouts } = this.#options;
    const context = this.#secureContext;
    const connect = buildConnector({
      allowH2: false,
      timeout: timeouts.connectMs,
      ...verified,
      ...(context === undefined ? {} : { secureContext: context }),
    });
    return (options, callback) => {
      connect(ownServerName(options, origin), (error, socket) => {
        if (error !== null) {
          callback(unreachable(origin, error), null);
          return;
        }
        // Runs before undici's own listener, which ends the request with this error.
        socket.on("error", (failure: Error) => this.#readBefore.set(failure, socket.bytesRead));
        callback(null, socket);
      });
    };
  }

  /** Whether the connection that failed had carried an answer; undici says so only for a connection that ended in order. */
  #wasReused(error: Error): boolean {
    const reset = this.#readBefore.get(error);
    if (reset !== undefined) return reset > 0;
    const socket = "socket" in error ? error.socket : undefined;
    return typeof socket === "object" && socket !== null && "bytesRead" in socket && Number(socket.bytesRead) > 0;
  }
}

/** Given, or NODE_TLS_REJECT_UNAUTHORIZED could take the verification away. */
const verified = { rejectUnauthorized: true };

function usesProxy(options: UndiciTransportOptions): boolean {
  return Boolean(options.proxy?.httpProxy || options.proxy?.httpsProxy);
}

/** undici takes the name for TLS from the Host header; the certificate is the one of the host we connect to. */
function ownServerName(options: buildConnector.Options, origin: Origin): buildConnector.Options {
  const { servername: _, ...rest } = options;
  const name = serverName(origin);
  return name === undefined ? rest : { ...rest, servername: name };
}
