import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { CopyError, type ErrorKind } from "../../src/errors.ts";
import { SocketTransport } from "../../src/oss/http/socket-transport.ts";
import type { Flow, Transport } from "../../src/oss/http/transport.ts";
import type { TransportOptions } from "../../src/oss/http/transport-options.ts";
import { UndiciTransport } from "../../src/oss/http/undici-transport.ts";
import { type BodySink, ObjectReader } from "../../src/oss/object-reader.ts";
import type { ByteRange, ObjectHead } from "../../src/types.ts";
import { testCertificate } from "../contract/transport-certificate.ts";
import { crcDecimal, crcOf } from "../emulator/crc64.ts";
import { anonymousRequests } from "../oss/anonymous-requests.ts";
import { fuzzSeconds, report } from "./campaign.ts";
import { type Chance, chance, contentOf, etagOf, type HostileServer, hostileServer, ways } from "./hostile-server.ts";

const connections = 6;
/** Short, so that many silences fit into a test; what a busy machine makes of it is one failure more. */
const timeouts = { connectMs: 2_000, stallMs: 250, minBytesPerSecond: 1 };
/** Longer than any one request may take, however busy the machine is: beyond it, it hangs. */
const hangMs = 30_000;

/** What a server can do to us; anything else would be our own defect. */
const expectedKinds: readonly ErrorKind[] = [
  ...(["unreachable", "interrupted", "protocol", "server", "throttled", "auth", "source", "missing"] as const),
  ...(["rejected", "changed", "unsupported"] as const),
];

/** Takes a body in portions that chance decides, with pauses. */
class FussySink implements BodySink {
  readonly #random: Chance;
  readonly #parts: Buffer[] = [];
  #memory: Buffer | undefined;
  #flow: Flow | undefined;

  constructor(random: Chance) {
    this.#random = random;
  }

  accept(_head: ObjectHead, flow: Flow): void {
    this.#flow = flow;
  }

  buffer(): Uint8Array | undefined {
    if (this.#memory === undefined && this.#random(8) === 0) {
      setTimeout(() => this.#flow?.resume(), this.#random(3));
      return undefined;
    }
    this.#memory ??= Buffer.alloc(1 + this.#random(40_000));
    return this.#memory;
  }

  filled(bytes: number): void {
    if (this.#memory === undefined || bytes < 1 || bytes > this.#memory.length) throw new RangeError(`filled ${bytes}`);
    this.#parts.push(this.#memory.subarray(0, bytes));
    this.#memory = undefined;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

interface Ends {
  right: number;
  /** The answer had no checksum, so that nothing can be said of it. */
  unproven: number;
  /** What our checksum, or our caller, found out. */
  unmasked: number;
  refused: number;
  aborted: number;
}

class Client {
  readonly ends: Ends = { right: 0, unproven: 0, unmasked: 0, refused: 0, aborted: 0 };
  readonly kinds = new Map<string, number>();
  /** Whether requests are given up now and then. */
  impatient = true;
  readonly #reader: ObjectReader;
  readonly #random: Chance;

  constructor(transport: Transport, port: number, random: Chance) {
    const requests = anonymousRequests({ scheme: "http", host: "127.0.0.1", port });
    this.#reader = new ObjectReader(transport, requests);
    this.#random = random;
  }

  /** Reads one object whole or in two ranges, and judges what came of it. Throws what must not be. */
  async readOne(id: number): Promise<void> {
    const content = contentOf(id);
    const middle = this.#random(content.length + 1);
    const inRanges = this.#random(3) === 0 && middle > 0 && middle < content.length;
    const ranges = inRanges
      ? [
          { start: 0, length: middle },
          { start: middle, length: content.length - middle },
        ]
      : [undefined];
    await this.#readAll(id, content, ranges);
  }

  /** Reads one object in one request. */
  readWhole(id: number): Promise<void> {
    return this.#readAll(id, contentOf(id), [undefined]);
  }

  async #readAll(id: number, content: Buffer, ranges: readonly (ByteRange | undefined)[]): Promise<void> {
    const results = await Promise.all(ranges.map((range) => this.#read(id, content.length, range)));
    if (results.some((result) => result === undefined)) return;
    const bytes = Buffer.concat(results.map((result) => result?.bytes ?? Buffer.alloc(0)));
    const crcs = results.map((result) => result?.head.crc64);
    if (crcs.includes(undefined)) this.ends.unproven++;
    else if (crcs.some((crc) => `${crc}` !== crcDecimal(crcOf(bytes)))) this.ends.unmasked++;
    else if (bytes.equals(content)) this.ends.right++;
    else throw new Error(`object ${id} has wrong bytes behind a right checksum`);
  }

  async #read(id: number, objectBytes: number, range: ByteRange | undefined) {
    const stop = new AbortController();
    const aborting =
      this.impatient && this.#random(25) === 0
        ? setTimeout(() => stop.abort(new Error("enough")), this.#random(30))
        : undefined;
    const sink = new FussySink(this.#random);
    const reading = this.#reader.read({ key: `${id}`, etag: etagOf(id), objectBytes, range }, sink, stop.signal);
    try {
      const head = await withinTime(reading, `object ${id}`);
      return { head, bytes: sink.bytes };
    } catch (error) {
      this.#failed(error);
      return undefined;
    } finally {
      clearTimeout(aborting);
    }
  }

  #failed(error: unknown): void {
    if (error instanceof CopyError && expectedKinds.includes(error.kind)) {
      expect(error.message).not.toMatch(/\p{Cc}|undefined|\[object/u);
      this.kinds.set(error.kind, (this.kinds.get(error.kind) ?? 0) + 1);
      this.ends.refused++;
    } else if (error instanceof Error && error.message === "enough") this.ends.aborted++;
    else throw error;
  }
}

async function withinTime<T>(work: Promise<T>, what: string): Promise<T> {
  const late = new AbortController();
  const hung = sleep(hangMs, undefined, { signal: late.signal }).then(() => {
    throw new Error(`${what} hangs`);
  });
  try {
    return await Promise.race([work, hung]);
  } finally {
    late.abort();
    hung.catch(() => {});
  }
}

/** Every connection that may be opened can still be used, all at a time: nothing was lost or counted twice. */
async function expectAllUsable(server: HostileServer, client: Client): Promise<void> {
  const before = client.ends.right;
  server.reform(connections);
  client.impatient = false;
  for (let round = 0; round < 3; round++) {
    const ids = Array.from({ length: connections }, (_, i) => 1_000_000 + round * 100 + i);
    await withinTime(Promise.all(ids.map((id) => client.readWhole(id))), "a round of right answers");
  }
  expect(client.ends.right - before).toBe(3 * connections);
  await expectOpen(server, connections);
}

/** The server learns of a closed connection a moment later than we do. */
async function expectOpen(server: HostileServer, most: number): Promise<void> {
  for (let waits = 0; server.open > most && waits < 1000; waits++) await sleep(10);
  expect(server.open).toBeLessThanOrEqual(most);
}

async function campaign(make: (options: TransportOptions) => Transport, scheme: "http" | "https", name: string) {
  const seed = fuzzSeconds > 0 ? Date.now() % 1_000_000 : 4711;
  await using server = await hostileServer(scheme, seed);
  const random = chance(seed + 1);
  const options = {
    origin: { scheme, host: "127.0.0.1", port: server.port },
    connections,
    timeouts,
    speedWindowMs: 600,
    ca: scheme === "https" ? testCertificate : undefined,
  };
  const transport = make(options);
  const client = new Client(transport, server.port, random);
  const endsAtMs = performance.now() + fuzzSeconds * 1000;
  let next = 0;
  const isOver = () => (fuzzSeconds > 0 ? performance.now() > endsAtMs : next >= 100);
  const lane = async (): Promise<void> => {
    while (!isOver()) await client.readOne(next++);
  };
  try {
    await Promise.all(Array.from({ length: 2 * connections }, lane));
    await expectOpen(server, connections);
    await expectAllUsable(server, client);
    await transport[Symbol.asyncDispose]();
    await expectOpen(server, 0);
  } catch (error) {
    throw new Error(`with seed ${seed}, after ${next} objects`, { cause: error });
  } finally {
    await transport[Symbol.asyncDispose]();
  }
  report(name, { seed, objects: next, ...client.ends, kinds: Object.fromEntries(client.kinds) });
  if (fuzzSeconds > 0) expect([...server.taken.keys()].sort()).toEqual(Object.keys(ways).sort());
  expect(client.ends.right).toBeGreaterThan(2);
  expect(client.ends.refused).toBeGreaterThan(2);
}

const makers = {
  socket: (options: TransportOptions): Transport => new SocketTransport(options),
  undici: (options: TransportOptions): Transport => new UndiciTransport(options),
};

describe.each(Object.entries(makers))("the %s transport against a hostile server", (name, make) => {
  for (const scheme of ["http", "https"] as const) {
    test(
      `takes no wrong byte for a right one, never hangs, and keeps all of its connections (${scheme})`,
      { timeout: 120_000 + 2000 * fuzzSeconds },
      () => campaign(make, scheme, `${name} over ${scheme}`),
    );
  }
});
