/**
 * Receives ranges through the product's socket transport and discards them: `node receive.ts URL CONNECTIONS KEYS_FILE
 * [CA_FILE]`, with lines `PATH SIZE` in the file; prints JSON.
 */
import { readFileSync } from "node:fs";
import { SocketTransport } from "../../src/oss/http/socket-transport.ts";
import type { ResponseHandler } from "../../src/oss/http/transport.ts";
import { requested } from "../../test/support/requested.ts";

const [url = "", connections, keysFile = "", caFile] = process.argv.slice(2);
const partBytes = 8 * 2 ** 20;
const { protocol, hostname, port } = new URL(url);
await using transport = new SocketTransport({
  origin: { scheme: protocol === "https:" ? "https" : "http", host: hostname, port: Number(port) },
  connections: Number(connections),
  timeouts: { connectMs: 10_000, stallMs: 30_000, minBytesPerSecond: 0 },
  ca: caFile === undefined ? undefined : readFileSync(caFile, "utf8"),
});
const { signal } = new AbortController();
const memory = Array.from({ length: Number(connections) }, () => new Uint8Array(2 ** 20));
let received = 0;

const parts = readFileSync(keysFile, "utf8").split("\n").flatMap(partsOf);

function partsOf(line: string): { path: string; headers: Record<string, string> }[] {
  const [path = "", size] = line.split(" ");
  const sizeBytes = Number(size);
  if (sizeBytes <= partBytes) return [{ path, headers: {} }];
  return Array.from({ length: Math.ceil(sizeBytes / partBytes) }, (_, index) => {
    const last = Math.min(sizeBytes, (index + 1) * partBytes) - 1;
    return { path, headers: { range: `bytes=${index * partBytes}-${last}` } };
  });
}

async function receive(buffer: Uint8Array): Promise<void> {
  const handler: ResponseHandler = {
    head: ({ status }) => {
      if (status !== 200 && status !== 206) throw new Error(`status ${status}`);
    },
    buffer: () => buffer,
    filled: (bytes) => {
      received += bytes;
    },
  };
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    await requested(transport, { method: "GET", ...part }, handler, signal);
  }
}

const started = process.hrtime.bigint();
const before = process.cpuUsage();
await Promise.all(memory.map(receive));
const seconds = Number(process.hrtime.bigint() - started) / 1e9;
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({ seconds, cpuSeconds: (user + system) / 1e6, bytes: received }));
