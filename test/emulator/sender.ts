import { setTimeout as sleep } from "node:timers/promises";
import { TLSSocket } from "node:tls";
import type { Answer } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { type FaultOf, firedFault } from "./faults.ts";

/** Before a reset, so that the kernel has passed on what was to arrive. */
const RESET_GRACE_MS = 25;
/** Bodies up to this may be copied to go out in one piece. */
const SMALL_BYTES = 262_144;
const TLS_SLICE_BYTES = 131_072;
const DRIP_STEPS_PER_SECOND = 20;

/** Slices on their way out, and what the head says of their length; undefined leaves it to chunked coding. */
interface Outgoing {
  readonly slices: Iterable<Buffer>;
  readonly announcedBytes: number | undefined;
  readonly ofObject: boolean;
}

/** How a faulty body ends or is paced. */
interface Shape {
  readonly stopAfterBytes: number | undefined;
  readonly ending: "end" | "reset" | "stall";
  readonly bytesPerSecond: number | undefined;
}

/** Sends an answer, bent by the exchange's faults. Without faults, shared buffers go out as the socket drains. */
export function sendAnswer(exchange: Exchange, answer: Answer): void {
  if (exchange.gone) return;
  const outgoing = bendBody(exchange, answer);
  exchange.head(answer.status, headOf(exchange, answer, outgoing.announcedBytes));
  if (exchange.record.method === "HEAD") {
    exchange.response.end();
    return;
  }
  const shape = shapeOf(exchange);
  if (shape !== undefined) void sendShaped(exchange, outgoing, shape);
  else if (outgoing.announcedBytes === undefined || outgoing.announcedBytes <= SMALL_BYTES)
    sendSmall(exchange, outgoing);
  else pump(exchange, slicesFor(exchange, outgoing)[Symbol.iterator](), outgoing.ofObject);
}

/** Sends bytes that are no HTTP answer and ends the connection. */
export function sendGarbage(exchange: Exchange): void {
  const { socket } = exchange.request;
  socket.end("\u0000\u0001this is not HTTP\r\n\r\n");
}

/** Head and body in one write. */
function sendSmall(exchange: Exchange, { slices, ofObject }: Outgoing): void {
  const all = [...slices];
  const body = all.length === 1 ? all[0] : Buffer.concat(all);
  exchange.count(body?.length ?? 0, ofObject);
  exchange.response.end(body);
}

/** Under TLS smaller ones: there a write counts as left only when all of it has. */
function slicesFor({ request }: Exchange, { slices }: Outgoing): Iterable<Buffer> {
  return request.socket instanceof TLSSocket ? cut(slices, TLS_SLICE_BYTES) : slices;
}

function pump(exchange: Exchange, slices: Iterator<Buffer>, ofObject: boolean): void {
  const { response } = exchange;
  while (!exchange.gone) {
    const next = slices.next();
    if (next.done === true) {
      response.end();
      return;
    }
    exchange.count(next.value.length, ofObject);
    if (response.write(next.value)) continue;
    response.once("drain", () => pump(exchange, slices, ofObject));
    return;
  }
}

function headOf(exchange: Exchange, answer: Answer, announcedBytes: number | undefined): string[] {
  const list = ["Server", "AliyunOSS", "Date", dateText(exchange.nowMs)];
  for (const [name, value] of Object.entries(answer.headers)) list.push(name, value);
  if (announcedBytes !== undefined && answer.status !== 204 && answer.status !== 304) {
    list.push("Content-Length", String(announcedBytes));
  }
  const serverTimeMs = Math.round(performance.now() - exchange.startedAt);
  list.push("x-oss-request-id", exchange.record.id, "x-oss-server-time", String(serverTimeMs));
  return exchange.faults.length === 0 ? list : bendHead(exchange, answer, list);
}

function bendHead(exchange: Exchange, answer: Answer, list: string[]): string[] {
  const huge = firedFault(exchange.faults, "hugeHeader");
  if (huge !== undefined) list.push("x-oss-meta-huge", "x".repeat(huge.bytes ?? 131_072));
  const shifted = firedFault(exchange.faults, "wrongContentRange");
  const range = answer.headers["Content-Range"];
  if (shifted !== undefined && range !== undefined)
    setHeader(list, "Content-Range", shiftRange(range, shifted.by ?? 1));
  for (const action of exchange.faults) {
    if (action.kind === "header") setHeader(list, action.name, action.value);
  }
  return list;
}

/** Replaces or removes a header in a flat list. */
function setHeader(list: string[], name: string, value: string | null): void {
  for (let index = list.length - 2; index >= 0; index -= 2) {
    if (list[index]?.toLowerCase() === name.toLowerCase()) list.splice(index, 2);
  }
  if (value !== null) list.push(name, value);
}

function shiftRange(range: string, by: number): string {
  return range.replace(/(\d+)-(\d+)/, (_, first, last) => `${Number(first) + by}-${Number(last) + by}`);
}

let dateSecond = 0;
let dateCache = "";

function dateText(nowMs: number): string {
  const second = Math.floor(nowMs / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateCache = new Date(nowMs).toUTCString();
  }
  return dateCache;
}

function bendBody(exchange: Exchange, { body }: Answer): Outgoing {
  const ofObject = body.kind === "content";
  const length = body.kind === "content" ? body.lengthBytes : body.data.length;
  let slices = body.kind === "content" ? body.content.slices(body.start, length) : length === 0 ? [] : [body.data];
  if (exchange.faults.length === 0) {
    return { slices, announcedBytes: body.kind === "chunked" ? undefined : length, ofObject };
  }
  let sentBytes = length;
  if (firedFault(exchange.faults, "cutXml") !== undefined) sentBytes = Math.floor(length / 2);
  const short = firedFault(exchange.faults, "wrongLength");
  if (short !== undefined) sentBytes = Math.max(0, length - (short.missingBytes ?? 1));
  slices = limited(slices, sentBytes);
  const flip = firedFault(exchange.faults, "flipBit");
  if (flip !== undefined) slices = flipped(slices, Math.min(flip.at, sentBytes - 1));
  const extra = firedFault(exchange.faults, "extraBytes");
  if (extra !== undefined) slices = extended(slices, extra);
  const announcedExtra = extra === undefined || extra.announced === false ? 0 : extra.bytes;
  return { slices, announcedBytes: body.kind === "chunked" ? undefined : sentBytes + announcedExtra, ofObject };
}

function* limited(slices: Iterable<Buffer>, limitBytes: number): Iterable<Buffer> {
  let rest = limitBytes;
  for (const slice of slices) {
    if (rest <= 0) return;
    yield slice.length <= rest ? slice : slice.subarray(0, rest);
    rest -= slice.length;
  }
}

function* flipped(slices: Iterable<Buffer>, at: number): Iterable<Buffer> {
  let start = 0;
  for (const slice of slices) {
    const inside = at - start;
    start += slice.length;
    if (inside < 0 || inside >= slice.length) {
      yield slice;
      continue;
    }
    const copy = Buffer.from(slice);
    copy[inside] = (copy[inside] ?? 0) ^ 1;
    yield copy;
  }
}

function* extended(slices: Iterable<Buffer>, extra: FaultOf<"extraBytes">): Iterable<Buffer> {
  yield* slices;
  yield Buffer.alloc(extra.bytes, "x");
}

function shapeOf({ faults }: Exchange): Shape | undefined {
  if (faults.length === 0) return undefined;
  const reset = firedFault(faults, "resetAfter");
  const cut = firedFault(faults, "truncateAt");
  const stall = firedFault(faults, "stall");
  const bytesPerSecond = firedFault(faults, "drip")?.bytesPerSecond;
  if (reset !== undefined) return { stopAfterBytes: reset.bytes, ending: "reset", bytesPerSecond };
  if (cut !== undefined) return { stopAfterBytes: cut.bytes, ending: "end", bytesPerSecond };
  if (stall !== undefined) return { stopAfterBytes: stall.afterBytes ?? 0, ending: "stall", bytesPerSecond };
  return bytesPerSecond === undefined ? undefined : { stopAfterBytes: undefined, ending: "end", bytesPerSecond };
}

async function sendShaped(exchange: Exchange, outgoing: Outgoing, shape: Shape): Promise<void> {
  const { response, request } = exchange;
  const stop = shape.stopAfterBytes ?? Number.POSITIVE_INFINITY;
  response.flushHeaders();
  for (const slice of paced(limited(outgoing.slices, stop), shape.bytesPerSecond)) {
    if (exchange.gone) return;
    exchange.count(slice.length, outgoing.ofObject);
    if (!response.write(slice)) await drained(exchange);
    if (shape.bytesPerSecond !== undefined) await sleep((slice.length / shape.bytesPerSecond) * 1000);
  }
  if (shape.stopAfterBytes === undefined || stop >= (outgoing.announcedBytes ?? Number.POSITIVE_INFINITY)) {
    response.end();
  } else if (shape.ending === "end") {
    request.socket.end();
  } else if (shape.ending === "reset") {
    await sleep(RESET_GRACE_MS);
    exchange.reset();
  }
}

/** Cuts slices so small that the pace is even. */
function paced(slices: Iterable<Buffer>, bytesPerSecond: number | undefined): Iterable<Buffer> {
  if (bytesPerSecond === undefined) return slices;
  return cut(slices, Math.max(1, Math.floor(bytesPerSecond / DRIP_STEPS_PER_SECOND)));
}

function* cut(slices: Iterable<Buffer>, maxBytes: number): Iterable<Buffer> {
  for (const slice of slices) {
    for (let at = 0; at < slice.length; at += maxBytes) yield slice.subarray(at, at + maxBytes);
  }
}

/** Resolves when the socket takes more, or is gone. */
async function drained({ response }: Exchange): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  response.once("drain", resolve);
  response.once("close", resolve);
  await promise;
  response.off("drain", resolve);
  response.off("close", resolve);
}
