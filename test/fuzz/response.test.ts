import { once } from "node:events";
import { request } from "node:http";
import { Duplex } from "node:stream";
import fc from "fast-check";
import { expect, test } from "vitest";
import { atOnce, type Delivery, deliveries, type Result, receive } from "../oss/http/receive.ts";
import { fuzzSeconds, lengthOf, readCorpus, report, shown } from "./campaign.ts";
import { mutated } from "./mutations.ts";

const timeout = 60_000 + 2000 * fuzzSeconds;
const words = [
  ...[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 ",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "\r\n\r\n",
    "\n\n",
    "\r",
    " \r\n",
    "\t",
    ",",
    "5\r\nhello\r\n",
  ],
  ...[
    "Content-Length: ",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
  ],
  ...[
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "0\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
    "ffffffff\r\n",
    ";a=b",
    "204",
    "304",
    "101",
  ],
];
const size = fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 400 }), fc.constant(70_000));
const method = fc.constantFrom("GET" as const, "GET" as const, "HEAD" as const);
const outcomes = ["done", "ended", "cut", "refused"];

/** How Node's own client reads the same bytes; undefined where it finds no complete response in them. */
async function readByNode(bytes: Buffer, how: "GET" | "HEAD"): Promise<{ status: number; body: string } | undefined> {
  const socket = new Duplex({
    read() {},
    write(_chunk, _encoding, done) {
      done();
    },
  });
  const call = request({ method: how, createConnection: () => socket, setDefaultHeaders: false });
  call.on("error", () => {});
  call.end();
  call.once("finish", () => {
    socket.push(bytes);
    socket.push(null);
  });
  const closed = once(call, "close").then(() => undefined);
  try {
    const answered = await Promise.race([once(call, "response"), closed]);
    const response = answered?.[0];
    if (response === undefined) return undefined;
    const parts: Buffer[] = [];
    for await (const part of response) parts.push(part);
    return { status: response.statusCode, body: Buffer.concat(parts).toString("latin1") };
  } catch {
    return undefined;
  } finally {
    socket.destroy();
  }
}

/** Whether both take it for a response; then it is the same one, byte for byte. */
async function compared(bytes: Buffer, { outcome, head, body }: Result, how: "GET" | "HEAD"): Promise<boolean> {
  if (outcome !== "done" && outcome !== "ended") return false;
  const other = await readByNode(bytes, how);
  if (other !== undefined) expect({ status: head?.status, body }).toEqual(other);
  return other !== undefined;
}

test("responses are read the same however they arrive, and as Node reads them, or refused", { timeout }, async () => {
  const input = fc.record({
    bytes: mutated(readCorpus("response"), words).map(shown),
    delivery: deliveries(size),
    method,
  });
  const tally = { runs: 0, readByBoth: 0 };
  const judge = async (given: { bytes: { bytes: Buffer }; delivery: Delivery; method: "GET" | "HEAD" }) => {
    const { bytes } = given.bytes;
    const whole = receive(bytes, atOnce, given.method);
    expect(outcomes).toContain(whole.outcome);
    expect(receive(bytes, given.delivery, given.method)).toEqual(whole);
    tally.runs++;
    if (await compared(bytes, whole, given.method)) tally.readByBoth++;
  };
  await fc.assert(fc.asyncProperty(input, judge), lengthOf(400));
  report("responses", tally);
  expect(tally.readByBoth).toBeGreaterThan(5);
});

test.each(readCorpus("response"))("$name is read as Node reads it, or refused", async ({ bytes }) => {
  for (const how of ["GET", "HEAD"] as const) {
    const whole = receive(bytes, atOnce, how);
    expect(outcomes).toContain(whole.outcome);
    await compared(bytes, whole, how);
  }
});
