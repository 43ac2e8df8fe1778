import type { Config, EffortConfig } from "../config/config.ts";
import { Admission } from "../engine/admission.ts";
import { Limiter } from "../engine/limiter.ts";
import { Requests } from "../engine/requests.ts";
import { bucketAddress } from "../oss/endpoint.ts";
import { type ProxyOptions, UndiciTransport } from "../oss/http/undici-transport.ts";
import { RequestBuilder } from "../oss/request.ts";
import { Session } from "../oss/session.ts";
import { OssSource } from "../oss/source.ts";
import type { Clock, ObjectSource, Transport } from "../types.ts";
import type { RunHost } from "./host.ts";
import type { RunState } from "./state.ts";

/** The bucket, and everything that stands between the engine and it. */
export interface Connection extends AsyncDisposable {
  readonly source: ObjectSource;
  readonly requests: Requests;
  readonly admission: Admission;
  readonly limiter: Limiter | undefined;
  readonly clock: Clock;
  readonly builder: RequestBuilder;
  /** A transport for object data, owned by the caller. */
  openTransport(): Transport;
}

const controlConnections = 16;

/** Gets credentials and sets up the control plane; connects to nothing else yet. Throws CopyError. */
export async function connect(config: Config, host: RunHost, state: RunState): Promise<Connection> {
  const { source: from, effort } = config;
  const session = await Session.start(
    config.credentials,
    host.env,
    { onWarning: (message) => host.logger.warn("credentials", { error: message }) },
    host.signal,
  );
  const address = bucketAddress(from);
  const builder = new RequestBuilder({
    address,
    bucket: from.bucket,
    signature:
      from.signature === "v4" && from.region !== undefined ? { version: "v4", region: from.region } : { version: "v1" },
    state: session.signing,
    nowMs: () => Date.now(),
  });
  const openTransport = (connections: number): Transport =>
    new UndiciTransport({
      origin: address.origin,
      hostHeader: address.host,
      connections,
      timeouts: timeoutsOf(effort),
      proxy: proxyOf(host.env),
    });
  const control = openTransport(controlConnections);
  const source = new OssSource(control, builder, (error, signal) => session.refresh(error, signal));
  const { clock, logger } = host;
  const limit = effort.limitBytesPerSecond;
  const limiter = limit === undefined ? undefined : new Limiter(limit, clock);
  const admission = new Admission(effort.concurrency, effort.memoryBytes);
  const requests = new Requests({
    source,
    admission,
    limiter,
    limits: effort,
    clock,
    metrics: state.tally,
    logger,
  });
  return {
    source,
    requests,
    admission,
    limiter,
    clock,
    builder,
    openTransport: () => openTransport(effort.concurrency),
    async [Symbol.asyncDispose](): Promise<void> {
      await control[Symbol.asyncDispose]();
      await session[Symbol.asyncDispose]();
    },
  };
}

function timeoutsOf(effort: EffortConfig) {
  return {
    connectMs: effort.connectTimeoutMs,
    stallMs: effort.stallTimeoutMs,
    minBytesPerSecond: effort.minBytesPerSecond,
  };
}

/** Only an https proxy variable in upper or lower case, as every other client takes them. */
function proxyOf(env: RunHost["env"]): ProxyOptions {
  return {
    // An upper-case HTTP_PROXY may come from a request header in CGI programs (CVE-2016-5385); this is none.
    httpProxy: env.http_proxy ?? env.HTTP_PROXY,
    httpsProxy: env.https_proxy ?? env.HTTPS_PROXY,
    noProxy: env.no_proxy ?? env.NO_PROXY,
  };
}
