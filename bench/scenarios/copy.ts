/** Everybody copies the same objects from the same server into an empty folder. */
import { existsSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { driver } from "../drivers/driver.ts";
import { countTree, emptyLargeFiles, RunFolders } from "../folders.ts";
import { type Command, type Measurement, measure } from "../measure.ts";
import { memoryFolder } from "../memory.ts";
import type { Job, Peer, Shape } from "../peers/peer.ts";
import { byteMetrics, type Metric, objectMetrics, peakMiB, type ScenarioResult, wallSeconds } from "../result.ts";
import { type Contender, inRounds } from "../rounds.ts";
import { nginxProgram } from "../server/configuration.ts";
import { type Batch, MiB, type StoredFile, totalBytes } from "../server/data-set.ts";
import { bucket, FileServer, type Served } from "../server/nginx.ts";
import type { Bench, Scenario } from "./scenario.ts";

interface Work {
  readonly name: string;
  readonly title: string;
  readonly shape: Shape;
  readonly batches: readonly Batch[];
  readonly quickBatches: readonly Batch[];
  readonly tls?: boolean;
  /** Into a tmpfs. */
  readonly inMemory?: boolean;
  /** Only what limits everybody: the server, receiving, writing. */
  readonly limits?: readonly Limit[];
  readonly peers?: boolean;
}

type Limit = "server" | "receive" | "write";

const prefix = "set/";
const fioProgram = "/usr/bin/fio";
const receiveConnections: Readonly<Record<Shape, number>> = { large: 8, small: 64, mixed: 32 };
const large: Batch = { name: "large", count: 4, sizeBytes: 512 * MiB };
const quickLarge: Batch = { name: "large", count: 2, sizeBytes: 12 * MiB };
const small: Batch = { name: "small", count: 10_000, sizeBytes: 16 * 1024 };
const quickSmall: Batch = { name: "small", count: 200, sizeBytes: 16 * 1024 };

const works: readonly Work[] = [
  {
    name: "large",
    title: "4 × 512 MiB over HTTP to disk, durable.",
    shape: "large",
    batches: [large],
    quickBatches: [quickLarge],
  },
  {
    name: "large-memory",
    title: "4 × 512 MiB over HTTP into a tmpfs.",
    shape: "large",
    batches: [large],
    quickBatches: [quickLarge],
    inMemory: true,
    limits: ["server", "receive"],
  },
  {
    name: "large-tls",
    title: "4 × 512 MiB over TLS to disk, durable.",
    shape: "large",
    batches: [large],
    quickBatches: [quickLarge],
    tls: true,
    limits: ["receive"],
  },
  {
    name: "single",
    title: "One object of 2 GiB over HTTP to disk, durable.",
    shape: "large",
    batches: [{ name: "large", count: 1, sizeBytes: 2048 * MiB }],
    quickBatches: [{ name: "large", count: 1, sizeBytes: 24 * MiB }],
    limits: ["receive"],
  },
  {
    name: "small",
    title: "10,000 × 16 KiB over HTTP to disk, durable.",
    shape: "small",
    batches: [small],
    quickBatches: [quickSmall],
    limits: ["server", "receive"],
  },
  {
    name: "mixed",
    title: "2 × 512 MiB, 4,000 × 4–64 KiB and 64 × 1–16 MiB over HTTP to disk, durable.",
    shape: "mixed",
    batches: [
      { name: "large", count: 2, sizeBytes: 512 * MiB },
      { name: "small", count: 4000, sizeBytes: { min: 4096, max: 65_536 } },
      { name: "large", count: 64, sizeBytes: { min: MiB, max: 16 * MiB } },
    ],
    quickBatches: [quickLarge, quickSmall, { name: "large", count: 4, sizeBytes: { min: MiB, max: 4 * MiB } }],
    limits: ["server", "receive"],
  },
  {
    name: "receive",
    title: "4 × 512 MiB received through our transport and discarded; the server against a client that only counts.",
    shape: "large",
    batches: [large],
    quickBatches: [quickLarge],
    limits: ["server", "receive"],
    peers: false,
  },
  {
    name: "write",
    title: "4 × 512 MiB generated and written with O_DIRECT by fio.",
    shape: "large",
    batches: [large],
    quickBatches: [quickLarge],
    limits: ["write"],
    peers: false,
  },
];

export const copyScenarios: Readonly<Record<string, Scenario>> = Object.fromEntries(
  works.map((work): [string, Scenario] => [work.name, (bench) => runWork(work, bench)]),
);

async function runWork(work: Work, bench: Bench): Promise<ScenarioResult> {
  if (nginxProgram() === undefined) throw new Error("nginx is not installed (bench/peers/install gets it)");
  const folder = await mkdtemp(join(bench.workPath, `${work.name}-`));
  using memory = work.inMemory ? await memoryFolder() : undefined;
  try {
    await using folders = await RunFolders.open(memory?.path ?? bench.workPath);
    await using server = await FileServer.start(folder);
    const files = await server.serve({ [prefix]: bench.quick ? work.quickBatches : work.batches });
    const served = work.tls ? server.https : server.http;
    const job = { ...served, shape: work.shape, bucket, prefix, workPath: folder };
    const race = { work, served, job, files, folders };
    const limits = work.limits ?? ["server", "receive", "write"];
    const contenders = [
      ...(work.peers === false ? [] : bench.peers.map((peer) => copying(peer, race))),
      ...(await limiting(limits, race)),
    ];
    const rounds = await inRounds(contenders, bench.rounds);
    const title = bench.quick ? `${work.title} With quick sizes: not to be read as numbers.` : work.title;
    return { name: work.name, title, metrics: metricsOf(work, files), ...rounds };
  } finally {
    await emptyLargeFiles(folder);
  }
}

function metricsOf({ shape }: Work, files: readonly StoredFile[]): Metric[] {
  const perByte = byteMetrics(totalBytes(files));
  const perObject = objectMetrics(files.length);
  const rates = { large: perByte, small: perObject, mixed: [...perByte, ...perObject.slice(0, 1)] };
  return [wallSeconds, ...rates[shape], peakMiB];
}

/** What the contenders of one scenario share. */
interface Race {
  readonly work: Work;
  readonly served: Served;
  readonly job: Omit<Job, "target">;
  readonly files: readonly StoredFile[];
  readonly folders: RunFolders;
}

/** Counts what has arrived, so that nobody wins by leaving things out. */
function copying(peer: Peer, { job, files, folders }: Race): Contender {
  const expected = { files: files.length, bytes: totalBytes(files) };
  return {
    name: peer.name,
    async run() {
      const target = await folders.fresh();
      const measured = await measure(peer.command({ ...job, target }), job.workPath, target);
      const found = await countTree(target);
      if (found.files !== expected.files || found.bytes !== expected.bytes) {
        throw new Error(
          `${found.files} files of ${found.bytes} bytes where ${expected.files} of ${expected.bytes} are due`,
        );
      }
      return measured;
    },
  };
}

async function limiting(limits: readonly Limit[], race: Race): Promise<Contender[]> {
  const { work, served, job, files } = race;
  const list = join(job.workPath, "keys");
  const paths = join(job.workPath, "paths");
  await writeFile(list, files.map(({ key, sizeBytes }) => `/${bucket}/${key} ${sizeBytes}`).join("\n"));
  await writeFile(paths, files.map(({ key }) => `/${bucket}/${key}`).join("\n"));
  const connections = String(receiveConnections[work.shape]);
  const makers: Readonly<Record<Limit, () => Contender>> = {
    server: () => driver("server alone", job.workPath, ["flood.ts", String(served.port), "8", paths]),
    receive: () => {
      const ca = served.caFile === undefined ? [] : [served.caFile];
      return driver("receive and discard", job.workPath, ["receive.ts", served.url, connections, list, ...ca]);
    },
    write: () => fio(race),
  };
  const possible = limits.filter((limit) => limit !== "write" || existsSync(fioProgram));
  return possible.map((limit) => makers[limit]());
}

function fio({ job, files, folders }: Race): Contender {
  const size = files[0]?.sizeBytes ?? 0;
  const command = (target: string): Command => ({
    program: fioProgram,
    args: [
      ...["--name=write", `--directory=${target}`, "--rw=write", "--bs=1M", "--direct=1", "--ioengine=libaio"],
      ...["--iodepth=4", `--numjobs=${files.length}`, `--size=${size}`, "--end_fsync=1", "--fallocate=keep"],
      ...["--group_reporting", "--output-format=json", `--output=${join(job.workPath, "fio.json")}`],
    ],
  });
  return {
    name: "write with O_DIRECT (fio)",
    async run(): Promise<Measurement> {
      const target = await folders.fresh();
      return measure(command(target), job.workPath, target);
    },
  };
}
