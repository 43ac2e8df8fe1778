import { setTimeout } from "node:timers/promises";
import { bucketName, openScene, type Scene } from "../../e2e/support/scene.ts";
import { freePort } from "../../e2e/support/waiting.ts";
import type { Fault } from "../../emulator/faults.ts";
import { Scrapes, type Series } from "../../support/promql/series.ts";

export const scrapeSeconds = 0.2;
const mib = 2 ** 20;

export interface RealRun {
  readonly series: readonly Series[];
  readonly seconds: number;
  readonly exitCode: number | null;
}

export interface RealRunOptions {
  readonly faults?: readonly Fault[];
  readonly args?: readonly string[];
  /** Kills the run so many scrapes after the end of its listing. */
  readonly scrapesAfterListing?: number;
}

/** Runs a copy of small and large objects against the emulator at 12 MBps, and scrapes it as Prometheus would. */
export async function scrapeRealRun({
  faults = [],
  args = [],
  scrapesAfterListing,
}: RealRunOptions = {}): Promise<RealRun> {
  await using scene = await openScene();
  fill(scene);
  scene.emulator.addFaults({ kind: "delay", ms: 5, operation: "get" }, ...faults);
  const port = await freePort();
  const options = ["--metrics-listen", `127.0.0.1:${port}`, "--throughput", "12", "--fail-hold", "1500ms", ...args];
  const startMs = performance.now();
  await using run = scene.start("copy", options);
  const scrapes = new Scrapes({ namespace: "argo", pod: "fill-model-x7k2p", job: "oss-populator" });
  const seconds = () => (performance.now() - startMs) / 1000;
  let left = scrapesAfterListing ?? Number.POSITIVE_INFINITY;
  while (run.child.exitCode === null && run.child.signalCode === null) {
    const body = await scrape(port);
    if (body !== undefined) scrapes.add(seconds(), body);
    if (body?.includes("oss_populator_listing_complete 1") && left-- <= 0) run.child.kill("SIGKILL");
    await setTimeout(scrapeSeconds * 1000);
  }
  const { exitCode } = await run.result;
  return { series: scrapes.series(), seconds: seconds(), exitCode };
}

function fill({ emulator }: Scene): void {
  const small = { bucket: bucketName, prefix: "data/small/", count: 600, sizeBytes: { min: 4096, max: 65_536 } };
  emulator.generate(small);
  emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 3, sizeBytes: 14 * mib });
}

/** Undefined before the server listens and after it has gone. */
async function scrape(port: number): Promise<string | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`);
    return response.ok ? await response.text() : undefined;
  } catch {
    return undefined;
  }
}
