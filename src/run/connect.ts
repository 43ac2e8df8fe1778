import type { Config, EffortConfig } from "../config/config.ts";
import type { PlaneSetup } from "../data/build-plane.ts";
import { slabPools } from "../data/slabs.ts";
import { Admission } from "../engine/admission.ts";
import { Limiter } from "../engine/limiter.ts";
import { Requests } from "../engine/requests.ts";
import { backoffMs, isExhausted } from "../engine/retry.ts";
import { bucketAddress } from "../oss/endpoint.ts";
import { openTransport, type TransportSetup } from "../oss/http/open-transport.ts";
import type { ProxyOptions } from "../oss/http/undici-transport.ts";
import { RequestBuilder } from "../oss/request.ts";
import { type RenewalPolicy, Session } from "../oss/session.ts";
import { OssSource } from "../oss/source.ts";
import type { Clock, ObjectSource } from "../types.ts";
import type { RunHost } from "./host.ts";
import { proxiesOf } from "./proxies.ts";
import type { RunState } from "./state.ts";

/** The bucket, and everything that stands between the engine and it. */
export interface Connection extends AsyncDisposable {
  readonly source: ObjectSource;
  readonly requests: Requests;
  readonly admission: Admission;
  readonly limiter: Limiter | undefined;
  readonly clock: Clock;
  readonly session: Session;
  /** How data threads reach the bucket. */
  readonly dataTransport: TransportSetup;
  readonly requestSetup: PlaneSetup["requests"];
}

const controlConnections = 16;

/** Gets credentials and sets up the control plane; connects to nothing else yet. Throws CopyError. */
export async function connect(config: Config, host: RunHost, state: RunState): Promise<Connection> {
  const { source: from, effort } = config;
  const proxy = proxiesOf(host.env);
  const { ca } = state;
  const session = await Session.start(
    config.credentials,
    host.env,
    {
      onWarning: (message) => host.logger.warn("credentials", { error: message }),
      onSecret: (secret) => state.secrets.add(secret),
      renewal: renewalPolicy(effort, host.clock),
      sts: { ca, httpsProxy: proxy.httpsProxy, noProxy: proxy.noProxy },
    },
    host.signal,
  );
  const address = bucketAddress(from);
  const requestSetup: PlaneSetup["requests"] = {
    address,
    bucket: from.bucket,
    signature:
      from.signature === "v4" && from.region !== undefined ? { version: "v4", region: from.region } : { version: "v1" },
  };
  const kind = usesProxy(address.origin, proxy) ? "undici" : from.transport;
  const transport = {
    origin: address.origin,
    hostHeader: address.host,
    connections: effort.concurrency,
    timeouts: timeoutsOf(effort),
    proxy,
    ca,
  };
  const control = await openTransport({ kind, options: { ...transport, connections: controlConnections } });
  const builder = new RequestBuilder({ ...requestSetup, state: session.signing, nowMs: () => Date.now() });
  const source = new OssSource(control, builder, (error, signal) => session.refresh(error, signal));
  const { clock, logger } = host;
  const limit = effort.limitBytesPerSecond;
  const limiter = limit === undefined ? undefined : new Limiter(limit, clock);
  const admission = new Admission(effort.concurrency, slabPools(effort.memoryBytes));
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
    session,
    dataTransport: { kind, options: transport },
    requestSetup,
    async [Symbol.asyncDispose](): Promise<void> {
      await control[Symbol.asyncDispose]();
      await session[Symbol.asyncDispose]();
    },
  };
}

/** As for requests: attempts at a source that has given credentials before do not count, only the time does. */
function renewalPolicy(limits: EffortConfig, clock: Clock): RenewalPolicy {
  return {
    waitMs: ({ failures, sinceMs, answered }) => {
      const spent = { failures: answered ? 0 : failures, sinceProgressMs: sinceMs };
      return isExhausted(spent, limits) ? undefined : backoffMs(failures - 1, clock.random());
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

/** The socket transport knows no proxies; `no_proxy` may still exempt the host, which undici then finds out. */
function usesProxy({ scheme }: { readonly scheme: "http" | "https" }, proxy: ProxyOptions): boolean {
  return Boolean(scheme === "https" ? proxy.httpsProxy : proxy.httpProxy);
}
