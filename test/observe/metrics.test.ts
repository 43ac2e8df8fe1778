import { expect, test } from "vitest";
import { createExposition, type MetricsOptions, type MetricsSources } from "../../src/observe/metrics.ts";
import { Tally } from "../../src/observe/tally.ts";
import type { PlaneStats, Progress } from "../../src/types.ts";
import { progressWith } from "./support.ts";

const idle: PlaneStats = { receivedBytes: 0, writtenBytes: 0, sourceSeconds: 0, diskSeconds: 0, bufferBytes: 0 };

interface State {
  readonly tally: Tally;
  stats: PlaneStats;
  progress: Progress;
  exitCode: number | undefined;
  /** What ShownProgress says; the percentage itself unless a test has another idea. */
  shown: (percent: number) => Promise<number | undefined>;
}

async function exposing(options: Partial<MetricsOptions> = {}) {
  const state: State = {
    tally: new Tally(),
    stats: idle,
    progress: progressWith(),
    exitCode: undefined,
    shown: async (percent) => percent,
  };
  const sources: MetricsSources = {
    tally: state.tally,
    stats: () => state.stats,
    progress: () => state.progress,
    exitCode: () => state.exitCode,
    shown: (percent) => state.shown(percent),
  };
  const exposition = await createExposition(sources, {
    version: "1.2.3",
    retryKinds: ["server", "throttled"],
    ownerUid: undefined,
    ...options,
  });
  return { state, exposition, scrape: async () => parse(await exposition.metrics()) };
}

/** Every line, held to the grammar of the text format; samples by series. */
function parse(text: string) {
  const types = new Map<string, string>();
  const samples = new Map<string, number>();
  expect(text.endsWith("\n")).toBe(true);
  for (const line of text.split("\n").filter((part) => part !== "")) {
    const type = /^# TYPE (\S+) (counter|gauge|histogram|summary)$/.exec(line);
    if (type?.[1] && type[2]) types.set(type[1], type[2]);
    else if (!/^# HELP [a-z_]\w* \S.*$/.test(line)) {
      const sample = /^([a-z_]\w*(?:\{[a-zA-Z_]\w*="[^"\\\n]*"(?:,[a-zA-Z_]\w*="[^"\\\n]*")*\})?) (\S+)$/.exec(line);
      if (!sample?.[1]) throw new Error(`not a sample: ${line}`);
      expect(samples.has(sample[1])).toBe(false);
      samples.set(sample[1], Number(sample[2]));
    }
  }
  return { types, samples, own: new Map([...samples].filter(([series]) => series.startsWith("oss_populator_"))) };
}

test("every name of the contract is there from the start, with its type, and 0", async () => {
  const { scrape } = await exposing();
  const { types, own, samples } = await scrape();
  expect(Object.fromEntries([...types].filter(([name]) => name.startsWith("oss_populator_")))).toEqual({
    oss_populator_objects_total: "counter",
    oss_populator_bytes_total: "counter",
    oss_populator_written_bytes_total: "counter",
    oss_populator_received_bytes_total: "counter",
    oss_populator_listed_objects_total: "counter",
    oss_populator_listed_bytes_total: "counter",
    oss_populator_listing_complete: "gauge",
    oss_populator_requests_total: "counter",
    oss_populator_request_duration_seconds: "histogram",
    oss_populator_retries_total: "counter",
    oss_populator_wait_seconds_total: "counter",
    oss_populator_in_flight_requests: "gauge",
    oss_populator_buffer_bytes: "gauge",
    oss_populator_throughput_limit_bytes_per_second: "gauge",
    oss_populator_progress_ratio: "gauge",
    oss_populator_info: "gauge",
    oss_populator_exit_code: "gauge",
  });
  const info = 'oss_populator_info{version="1.2.3"}';
  expect(own.get(info)).toBe(1);
  for (const [series, value] of own) if (series !== info) expect([series, value]).toEqual([series, 0]);
  expect([...own.keys()]).toEqual(
    expect.arrayContaining([
      'oss_populator_objects_total{outcome="copied"}',
      'oss_populator_objects_total{outcome="skipped"}',
      'oss_populator_objects_total{outcome="failed"}',
      'oss_populator_wait_seconds_total{on="source"}',
      'oss_populator_wait_seconds_total{on="limiter"}',
      'oss_populator_wait_seconds_total{on="disk"}',
      'oss_populator_retries_total{kind="throttled"}',
      'oss_populator_request_duration_seconds_count{operation="head"}',
    ]),
  );
  expect(samples.get("process_cpu_seconds_total")).toBeGreaterThan(0);
  expect([...types.keys()].some((name) => name.startsWith("kubevirt"))).toBe(false);
});

test("a scrape shows what was counted", async () => {
  const { state, scrape } = await exposing();
  const { tally } = state;
  tally.listed(3, 300, true);
  tally.outcome("copied", 100);
  tally.outcome("failed", 50);
  tally.retried("server");
  tally.retried("invented");
  tally.limited(2.5);
  state.stats = { receivedBytes: 120, writtenBytes: 110, sourceSeconds: 7, diskSeconds: 1, bufferBytes: 64 };
  state.progress = progressWith({
    listingComplete: true,
    listed: { objects: 2, bytes: 0 },
    copied: { objects: 1, bytes: 0 },
    inFlight: 5,
    limitBytesPerSecond: 1e6,
  });
  const { own } = await scrape();
  const shown = (name: string) => own.get(`oss_populator_${name}`);
  expect(shown("listed_objects_total")).toBe(3);
  expect(shown("listed_bytes_total")).toBe(300);
  expect(shown("listing_complete")).toBe(1);
  expect(shown('objects_total{outcome="copied"}')).toBe(1);
  expect(shown('objects_total{outcome="failed"}')).toBe(1);
  expect(shown("bytes_total")).toBe(100);
  expect(shown("received_bytes_total")).toBe(120);
  expect(shown("written_bytes_total")).toBe(110);
  expect(shown('retries_total{kind="server"}')).toBe(1);
  expect(shown('retries_total{kind="invented"}')).toBe(1);
  expect(shown('wait_seconds_total{on="source"}')).toBe(7);
  expect(shown('wait_seconds_total{on="limiter"}')).toBe(2.5);
  expect(shown('wait_seconds_total{on="disk"}')).toBe(1);
  expect(shown("buffer_bytes")).toBe(64);
  expect(shown("in_flight_requests")).toBe(5);
  expect(shown("throughput_limit_bytes_per_second")).toBe(1e6);
  expect(shown("progress_ratio")).toBe(0.5);
});

test("durations are a cumulative histogram by operation", async () => {
  const { state, scrape } = await exposing();
  for (const seconds of [0.004, 0.02, 0.02, 100]) state.tally.request("get", "206", seconds);
  state.tally.request("list", "200", 0.3);
  const { own } = await scrape();
  const name = "oss_populator_request_duration_seconds";
  expect(own.get(`${name}_bucket{le="0.005",operation="get"}`)).toBe(1);
  expect(own.get(`${name}_bucket{le="0.025",operation="get"}`)).toBe(3);
  expect(own.get(`${name}_bucket{le="60",operation="get"}`)).toBe(3);
  expect(own.get(`${name}_bucket{le="+Inf",operation="get"}`)).toBe(4);
  expect(own.get(`${name}_count{operation="get"}`)).toBe(4);
  expect(own.get(`${name}_sum{operation="get"}`)).toBeCloseTo(100.044);
  expect(own.get(`${name}_count{operation="list"}`)).toBe(1);
  expect(own.get('oss_populator_requests_total{operation="get",status="206"}')).toBe(4);
});

test("a counter does not fall when the plane that it reads does", async () => {
  const { state, scrape } = await exposing();
  state.stats = { receivedBytes: 100, writtenBytes: 90, sourceSeconds: 5, diskSeconds: 4, bufferBytes: 3 };
  await scrape();
  state.stats = idle;
  const { own } = await scrape();
  expect(own.get("oss_populator_received_bytes_total")).toBe(100);
  expect(own.get("oss_populator_written_bytes_total")).toBe(90);
  expect(own.get('oss_populator_wait_seconds_total{on="disk"}')).toBe(4);
  expect(own.get("oss_populator_buffer_bytes")).toBe(0);
});

test("a counter of listed objects does not fall when one is gone since an earlier run", async () => {
  const { state, scrape } = await exposing();
  state.tally.listed(3, 300, false);
  expect((await scrape()).own.get("oss_populator_listed_objects_total")).toBe(3);
  state.tally.listed(-1, -100, false);
  const { own } = await scrape();
  expect([own.get("oss_populator_listed_objects_total"), own.get("oss_populator_listed_bytes_total")]).toEqual([
    3, 300,
  ]);
});

const uid = "4c0a8a2e-7d11-4d2c-9f0e-6f0f3c1a2b3d";
/** As CDI's controllers look for it. */
const pattern = new RegExp(`kubevirt_cdi_import_progress_total\\{ownerUID="${uid}"\\} (\\d{1,3}\\.?\\d*)`);

test("CDI's pattern finds a percentage that is 100 only after the final sync of a success", async () => {
  const { state, exposition } = await exposing({ ownerUid: uid });
  const percent = async () => {
    const text = await exposition.metrics();
    expect(text).toContain("# TYPE kubevirt_cdi_import_progress_total counter");
    expect(text.match(/^kubevirt_cdi_import_progress_total.*$/gm)).toHaveLength(1);
    return Number(pattern.exec(text)?.[1]);
  };
  const listed = { objects: 3, bytes: 0 };
  const at = (objects: number, changes: Partial<Progress> = {}) =>
    progressWith({ listingComplete: true, listed, copied: { objects, bytes: 0 }, ...changes });
  expect(await percent()).toBe(0);
  state.progress = at(1);
  expect(await percent()).toBe(33.33);
  state.shown = async () => 50;
  expect(await percent()).toBe(50);
  state.shown = async (shown) => shown;
  state.progress = at(3, { phase: "syncing" });
  expect(await percent()).toBe(99.99);
  state.progress = at(3, { phase: "done" });
  expect(await percent()).toBe(99.99);
  state.exitCode = 3;
  expect(await percent()).toBe(99.99);
  state.exitCode = 0;
  expect(await percent()).toBe(100);
});

test("no percentage is shown while it is not known what an earlier run has shown", async () => {
  const { state, scrape } = await exposing({ ownerUid: uid });
  state.shown = async () => undefined;
  expect([...(await scrape()).samples.keys()].filter((series) => series.startsWith("kubevirt"))).toEqual([]);
});

test("the exit code is shown once it is known", async () => {
  const { state, scrape } = await exposing();
  expect((await scrape()).own.has("oss_populator_exit_code")).toBe(false);
  state.exitCode = 143;
  expect((await scrape()).own.get("oss_populator_exit_code")).toBe(143);
});

test("a tiny ratio is written without an exponent", async () => {
  const { state, exposition } = await exposing({ ownerUid: uid });
  state.progress = progressWith({
    listingComplete: true,
    listed: { objects: 2e9, bytes: 0 },
    copied: { objects: 1, bytes: 0 },
  });
  expect(await exposition.metrics()).toMatch(new RegExp(`\\{ownerUID="${uid}"\\} 0\n`));
});
