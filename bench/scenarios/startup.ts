/** `--version`, and from the start of the program to its first request. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { RunFolders } from "../folders.ts";
import { type Command, measure } from "../measure.ts";
import { ours } from "../peers/ours.ts";
import type { Job, Peer } from "../peers/peer.ts";
import type { Metric, Sample, ScenarioResult } from "../result.ts";
import { type Contender, inRounds } from "../rounds.ts";
import type { Bench } from "./scenario.ts";

const runsPerRound = 4;
const firstRequestTimeoutMs = 30_000;

const milliseconds: Metric = {
  title: "ms",
  digits: 0,
  better: "less",
  of: (sample) => sample.wallSeconds * 1000,
};
const cpuMilliseconds: Metric = {
  title: "CPU ms",
  digits: 0,
  better: "less",
  of: (sample) => sample.cpuSeconds * 1000 || Number.NaN,
};

export async function startup(bench: Bench): Promise<ScenarioResult> {
  await using folders = await RunFolders.open(bench.workPath);
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // A TCP server that listens.
  const { workPath } = bench;
  const url = `http://127.0.0.1:${port}`;
  const target = await folders.fresh();
  const job: Job = { shape: "small", url, caFile: undefined, bucket: "bench-bucket", prefix: "set/", target, workPath };
  const { program, args } = ours.command(job);
  const version: Command = { program, args: [args[0] ?? "", "--version"] };
  const contenders: Contender[] = [
    { name: "node -e 0", run: () => measure({ program, args: ["-e", "0"] }, workPath) },
    { name: "oss-populator --version", run: () => measure(version, workPath) },
    ...bench.peers.map((peer) => firstRequest(peer, job, server, folders)),
  ];
  try {
    const rounds = await inRounds(contenders, bench.quick ? 1 : bench.rounds * runsPerRound);
    const title = "Start of the program to its end, or to its first byte at the server.";
    return { name: "startup", title, metrics: [milliseconds, cpuMilliseconds], ...rounds };
  } finally {
    server.close();
  }
}

function firstRequest(peer: Peer, job: Job, server: Server, folders: RunFolders): Contender {
  return {
    name: `${peer.name}, first request`,
    async run(): Promise<Omit<Sample, "contender" | "round">> {
      const target = await folders.fresh();
      const arrived = firstBytes(server);
      const { program, args, env } = peer.command({ ...job, target });
      const started = process.hrtime.bigint();
      const child = spawn(program, args, {
        cwd: job.workPath,
        env: { PATH: process.env.PATH, HOME: job.workPath, ...env },
        stdio: "ignore",
      });
      const at = await Promise.race([arrived, sleep(firstRequestTimeoutMs, undefined, { ref: false })]);
      await ended(child);
      if (at === undefined) throw new Error("no request within 30 s");
      return { wallSeconds: Number(at - started) / 1e9, cpuSeconds: 0, peakRssBytes: 0 };
    },
  };
}

/** The moment when the first byte of the next connection has come. */
async function firstBytes(server: Server): Promise<bigint> {
  const [socket] = await once(server, "connection");
  socket.on("error", () => {}); // The client is killed.
  await once(socket, "data");
  const at = process.hrtime.bigint();
  socket.destroy();
  return at;
}

async function ended(child: ChildProcess): Promise<void> {
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}
