import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

const SAMPLE_MS = 100;
/** An hour of samples. */
const MAX_SAMPLES = 36_000;

interface Tracked {
  /** Body bytes handed to the socket. */
  handedBytes: number;
  /** Of those, bytes that had left this machine's send queue when last looked at; never falls. */
  leftBytes: number;
  readonly remotePort: number;
}

interface Sample {
  readonly atMs: number;
  readonly totalBytes: number;
}

/**
 * Counts the body bytes that left, per second. A byte counts when the peer's kernel has acknowledged it: what was handed
 * to the socket, less what Node and libuv still queue, less the kernel's send queue (tx_queue of /proc/net/tcp), because
 * that queue alone can swallow 4 MiB at once. Sampled every 100 ms, read by linear interpolation. What waits in the
 * receiver's own kernel buffer has left, so a first second can exceed what the receiver's program has read (by 2 to 10 %
 * at 5 to 20 MB/s); later seconds of a steady reader are within 2 %.
 */
export class RateMeter {
  readonly #sockets = new Map<Socket, Tracked>();
  readonly #port: () => number;
  #samples: Sample[] = [];
  /** Bytes of connections that are gone. */
  #closedBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(port: () => number) {
    this.#port = port;
  }

  /** Says that so many body bytes are about to be handed to the socket. */
  handed(socket: Socket, bytes: number): void {
    let tracked = this.#sockets.get(socket);
    if (tracked === undefined) {
      tracked = { handedBytes: 0, leftBytes: 0, remotePort: socket.remotePort ?? 0 };
      this.#sockets.set(socket, tracked);
      this.#timer ??= setInterval(() => this.#sample(), SAMPLE_MS).unref();
    }
    if (this.#samples.length === 0) this.#samples.push({ atMs: performance.now(), totalBytes: this.#closedBytes });
    tracked.handedBytes += bytes;
  }

  /** Must be called when the connection is closed; `flushed` if nothing of it was discarded. */
  closed(socket: Socket, flushed: boolean): void {
    const tracked = this.#sockets.get(socket);
    if (tracked === undefined) return;
    this.#closedBytes += flushed ? tracked.handedBytes : tracked.leftBytes;
    this.#sockets.delete(socket);
  }

  /** Bytes of each whole second since the first byte. */
  perSecond(): number[] {
    this.#sample();
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined) return [];
    const seconds = Math.floor((last.atMs - first.atMs) / 1000);
    const totals = interpolate(this.#samples, first.atMs, seconds);
    return totals.slice(1).map((total, index) => Math.round(total - (totals[index] ?? 0)));
  }

  reset(): void {
    this.#samples = [];
    this.#closedBytes = 0;
    this.#drainTracked();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Forgets what has left, so that open connections count from here. */
  #drainTracked(): void {
    for (const tracked of this.#sockets.values()) {
      tracked.handedBytes -= tracked.leftBytes;
      tracked.leftBytes = 0;
    }
  }

  #sample(): void {
    if (this.#samples.length === 0 || this.#samples.length >= MAX_SAMPLES) return;
    const queues = this.#sockets.size === 0 ? undefined : sendQueues(this.#port());
    let totalBytes = this.#closedBytes;
    for (const [socket, tracked] of this.#sockets) {
      const unsent = queuedBytes(socket) + (queues?.get(tracked.remotePort) ?? 0);
      tracked.leftBytes = Math.max(tracked.leftBytes, tracked.handedBytes - unsent);
      totalBytes += tracked.leftBytes;
    }
    this.#samples.push({ atMs: performance.now(), totalBytes });
  }
}

/** Totals at `seconds + 1` instants, one second apart, from samples in order of time. */
function interpolate(samples: readonly Sample[], startMs: number, seconds: number): number[] {
  const totals: number[] = [];
  let index = 0;
  for (let second = 0; second <= seconds; second++) {
    const atMs = startMs + second * 1000;
    while (index + 1 < samples.length && (samples[index + 1]?.atMs ?? 0) < atMs) index += 1;
    const before = samples[index];
    const after = samples[index + 1] ?? before;
    if (before === undefined || after === undefined) break;
    const spanMs = after.atMs - before.atMs;
    const share = spanMs === 0 ? 0 : (atMs - before.atMs) / spanMs;
    totals.push(before.totalBytes + share * (after.totalBytes - before.totalBytes));
  }
  return totals;
}

/** Bytes written to a socket that the kernel has not taken; private fields of Node, 0 where they are not as known. */
function queuedBytes(socket: Socket): number {
  // Under TLS the queue lies below, out of reach; a write that has not ended counts as a whole.
  if (socket instanceof TLSSocket) return socket.writableLength;
  const handle: unknown = Reflect.get(socket, "_handle");
  if (typeof handle !== "object" || handle === null) return socket.writableLength;
  const queued: unknown = Reflect.get(handle, "writeQueueSize");
  const dispatched: unknown = Reflect.get(handle, "bytesWritten");
  if (typeof queued !== "number" || typeof dispatched !== "number") return socket.writableLength;
  return Math.max(0, socket.bytesWritten - dispatched) + queued;
}

/** The kernel's send queue of each established connection to a local port, by the peer's port. */
function sendQueues(port: number): Map<number, number> {
  const queues = new Map<number, number>();
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  for (const file of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const line of readLines(file)) {
      const [, local = "", remote = "", , queue = ""] = line.trim().split(/\s+/);
      if (!local.endsWith(suffix)) continue;
      queues.set(Number.parseInt(remote.slice(-4), 16), Number.parseInt(queue.slice(0, 8), 16));
    }
  }
  return queues;
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, "latin1").split("\n");
  } catch {
    return []; // Without /proc the send queue counts as gone.
  }
}
