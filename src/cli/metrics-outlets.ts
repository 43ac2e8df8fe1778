import type { Config } from "../config/config.ts";
import { ConfigError, errorKinds } from "../errors.ts";
import { createExposition, type Exposition } from "../observe/metrics.ts";
import { MetricsPush } from "../observe/metrics-push.ts";
import { type MetricsServer, serveMetrics } from "../observe/metrics-server.ts";
import type { Proxies } from "../observe/send.ts";
import type { RunState } from "../run/state.ts";
import type { Logger } from "../types.ts";

/** Where the metrics of a run can be seen. Disposing ends the server. */
export interface MetricsOutlets extends AsyncDisposable {
  /** The last push; gives up after `patienceMs`. */
  finish(patienceMs: number): Promise<void>;
}

export interface OutletParts {
  readonly version: string;
  readonly state: RunState;
  readonly proxies: Proxies;
  readonly logger: Logger;
}

/** Opens what the options ask for; undefined for nothing. Throws ConfigError for an address that cannot be had. */
export async function openMetricsOutlets({ output }: Config, parts: OutletParts): Promise<MetricsOutlets | undefined> {
  const { state, logger, proxies, version } = parts;
  const { metricsListen, metricsPush: url, metricsLabels: labels } = output;
  if (metricsListen === undefined && url === undefined) return undefined;
  const sources = {
    tally: state.tally,
    progress: () => state.progress(),
    stats: () => state.stats(),
    exitCode: () => state.exitCode,
    shown: (percent: number) => state.shown.show(percent),
  };
  const exposition = await createExposition(sources, { version, retryKinds: errorKinds, ownerUid: output.ownerUid });
  const server = metricsListen && (await serve(metricsListen, exposition, parts));
  const onFailure = (problem: string) => logger.warn("metrics", { problem });
  const push =
    url === undefined ? undefined : new MetricsPush(exposition, { url, labels, proxies, ca: state.ca, onFailure });
  return {
    finish: async (patienceMs) => push?.finish(patienceMs),
    [Symbol.asyncDispose]: async () => server?.[Symbol.asyncDispose](),
  };
}

async function serve(
  address: NonNullable<Config["output"]["metricsListen"]>,
  exposition: Exposition,
  { state, logger }: OutletParts,
): Promise<MetricsServer> {
  try {
    const server = await serveMetrics(address, { exposition, progress: () => state.progress() });
    logger.info("serving metrics", { host: address.host === "" ? "*" : address.host, port: server.port });
    return server;
  } catch (error) {
    throw new ConfigError([error instanceof Error ? error.message : String(error)]);
  }
}
