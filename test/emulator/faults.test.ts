import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { type Fault, FaultList, parseFault } from "./faults.ts";
import { type RawAnswer, type RawRequest, rawRequest } from "./raw-client.ts";
import { Emulator } from "./server.ts";

const data = Buffer.from("0123456789".repeat(10_000));

let emulator: Emulator;
beforeAll(async () => {
  emulator = await Emulator.start({ anonymous: true });
});
afterAll(() => emulator[Symbol.asyncDispose]());
beforeEach(() => {
  emulator.clearFaults();
  emulator.putObject("b", "k", data);
  emulator.putObject("b", "other", "other");
});

function ask(path: string, more: Partial<RawRequest> = {}): Promise<RawAnswer> {
  return rawRequest({ port: emulator.port, path, ...more });
}

async function get(fault: Fault, more: Partial<RawRequest> = {}): Promise<RawAnswer> {
  emulator.addFaults(fault);
  return ask("/b/k", more);
}

test("delay comes before the answer", async () => {
  const startedAt = performance.now();
  expect((await get({ kind: "delay", ms: 150 })).status).toBe(200);
  expect(performance.now() - startedAt).toBeGreaterThan(140);
});

test("status answers with an error document, a code and Retry-After", async () => {
  const answer = await get({ kind: "status", status: 503, ossCode: "TotalQpsLimitExceeded", retryAfter: 7 });
  expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "7"]);
  expect(answer.body.toString()).toMatch(/<Code>TotalQpsLimitExceeded<\/Code>[\s\S]*<EC>0004-00000302<\/EC>/);
  expect(emulator.requests.at(-1)?.status).toBe(503);
});

test("reset comes before the head", async () => {
  const answer = await get({ kind: "reset" });
  expect([answer.ending, answer.bytes.length]).toEqual(["reset", 0]);
});

test("resetAfter comes after some bytes of the body", async () => {
  const answer = await get({ kind: "resetAfter", bytes: 40_000 });
  expect([answer.ending, answer.status, answer.headers.get("content-length")]).toEqual(["reset", 200, "100000"]);
  expect(answer.body.equals(data.subarray(0, 40_000))).toBe(true);
});

test("truncateAt closes early although the whole length was announced", async () => {
  const answer = await get({ kind: "truncateAt", bytes: 40_000 });
  expect([answer.ending, answer.headers.get("content-length")]).toEqual(["closed", "100000"]);
  expect(answer.body.equals(data.subarray(0, 40_000))).toBe(true);
});

test("extraBytes makes the body longer, announced or behind the announced end", async () => {
  const announced = await get({ kind: "extraBytes", bytes: 5, times: 1 });
  expect([announced.headers.get("content-length"), announced.body.length]).toEqual(["100005", 100_005]);
  const hidden = await get({ kind: "extraBytes", bytes: 5, announced: false }, { readOn: true, silenceMs: 300 });
  expect([hidden.headers.get("content-length"), hidden.body.length]).toEqual(["100000", 100_005]);
});

test("wrongLength makes a valid message that is too short", async () => {
  const answer = await get({ kind: "wrongLength", missingBytes: 3 });
  expect([answer.ending, answer.headers.get("content-length"), answer.body.length]).toEqual([
    "complete",
    "99997",
    99_997,
  ]);
});

test("flipBit inverts one bit and leaves the object alone", async () => {
  const answer = await get({ kind: "flipBit", at: 77_777, times: 1 });
  const differing = [...answer.body.keys()].filter((at) => answer.body[at] !== data[at]);
  expect(differing).toEqual([77_777]);
  expect(answer.headers.get("x-oss-hash-crc64ecma")).toBe(emulator.bucket("b").get("k")?.crcText);
  expect((await ask("/b/k")).body.equals(data)).toBe(true);
  const part = await get({ kind: "flipBit", at: 999 }, { headers: { Range: "bytes=10-19" } });
  expect(part.body.toString()).toBe("0123456788");
});

test("changeEtag replaces the object before this answer, or after it", async () => {
  const old = `"${emulator.bucket("b").get("k")?.etag}"`;
  const headers = { "If-Match": old };
  const kept = await get({ kind: "changeEtag", when: "after", times: 1 }, { headers });
  expect([kept.status, kept.body.equals(data)]).toEqual([200, true]);
  expect((await ask("/b/k", { headers })).status).toBe(412);
  const second = emulator.bucket("b").get("k");
  const replaced = await get({ kind: "changeEtag", times: 1, sizeBytes: 50 });
  expect(replaced.headers.get("etag")).not.toBe(`"${second?.etag}"`);
  expect(replaced.body.length).toBe(50);
  expect((await ask("/b/k")).body.equals(replaced.body)).toBe(true);
});

test("ignoreRange answers 200 with everything", async () => {
  const answer = await get(
    { kind: "ignoreRange" },
    { headers: { Range: "bytes=0-9", "x-oss-range-behavior": "standard" } },
  );
  expect([answer.status, answer.body.length, answer.headers.has("content-range")]).toEqual([200, 100_000, false]);
});

test("wrongContentRange lies about the place", async () => {
  const answer = await get({ kind: "wrongContentRange", by: 2 }, { headers: { Range: "bytes=0-9" } });
  expect([answer.status, answer.headers.get("content-range")]).toEqual([206, "bytes 2-11/100000"]);
  expect(answer.body.toString()).toBe("0123456789");
});

test("drip spreads the body over time", async () => {
  const startedAt = performance.now();
  const answer = await get({ kind: "drip", bytesPerSecond: 250_000 });
  expect(answer.body.equals(data)).toBe(true);
  const seconds = (performance.now() - startedAt) / 1000;
  expect(seconds).toBeGreaterThan(0.35);
});

test("what nobody is there to receive is not counted", async () => {
  emulator.addFaults({ kind: "drip", bytesPerSecond: 100_000 });
  const socket = connect(emulator.port, "127.0.0.1");
  socket.write("GET /b/k HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  await once(socket, "data");
  // Between two of the 20 slices that are sent in a second.
  socket.resetAndDestroy();
  await vi.waitUntil(() => emulator.counters.concurrentRequests === 0, { interval: 1 });
  const { objectBytesSent } = emulator.counters;
  await setTimeout(150);
  expect(emulator.counters.objectBytesSent).toBe(objectBytesSent);
});

test("stall sends the head, or a part, and then nothing", async () => {
  const silent = await get({ kind: "stall", times: 1 }, { silenceMs: 300 });
  expect([silent.ending, silent.status, silent.body.length]).toEqual(["silence", 200, 0]);
  const partly = await get({ kind: "stall", afterBytes: 10 }, { silenceMs: 300 });
  expect([partly.ending, partly.body.toString()]).toEqual(["silence", "0123456789"]);
});

test("garbageHead is no HTTP", async () => {
  const answer = await get({ kind: "garbageHead" });
  expect([answer.status, answer.ending]).toEqual([undefined, "closed"]);
  expect(answer.bytes.length).toBeGreaterThan(0);
});

test("hugeHeader sends a head beyond reason", async () => {
  const answer = await get({ kind: "hugeHeader", bytes: 200_000 });
  expect(answer.bytes.indexOf("\r\n\r\n")).toBeGreaterThan(200_000);
});

test("header sets or removes a response header", async () => {
  emulator.addFaults({ kind: "header", name: "ETag", value: null });
  const answer = await get({ kind: "header", name: "x-oss-hash-crc64ecma", value: "1" });
  expect([answer.headers.has("etag"), answer.headers.get("x-oss-hash-crc64ecma")]).toEqual([false, "1"]);
});

test("repeatedToken leads a listing in a circle", async () => {
  emulator.addFaults({ kind: "repeatedToken", operation: "list" });
  const first = (await ask("/b?list-type=2&max-keys=1")).body.toString();
  const token = /<NextContinuationToken>(.*)<\/NextContinuationToken>/.exec(first)?.[1] ?? "";
  const second = (
    await ask(`/b?list-type=2&max-keys=1&continuation-token=${encodeURIComponent(token)}`)
  ).body.toString();
  expect(second).toContain(`<NextContinuationToken>${token}</NextContinuationToken>`);
  expect(second).toContain("<Key>k</Key>");
  expect(second).toContain("<IsTruncated>true</IsTruncated>");
});

test("cutXml ends a listing in its middle, as a valid message", async () => {
  emulator.addFaults({ kind: "cutXml", operation: "list" });
  const answer = await ask("/b?list-type=2");
  expect([answer.status, answer.ending]).toEqual([200, "complete"]);
  expect(answer.body.toString()).not.toContain("</ListBucketResult>");
});

test("several faults of one answer add up", async () => {
  emulator.addFaults({ kind: "flipBit", at: 0 });
  const answer = await get({ kind: "truncateAt", bytes: 10 });
  expect([answer.body.toString(), answer.ending]).toEqual(["1123456789", "closed"]);
});

test("a connection under TLS is reset as well", async () => {
  const { readFile } = await import("node:fs/promises");
  await using own = await Emulator.start({ anonymous: true, tls: true, faults: [{ kind: "resetAfter", bytes: 1000 }] });
  own.putObject("b", "k", data);
  const ca = await readFile(own.caFile ?? "", "utf8");
  const answer = await rawRequest({ port: own.port, path: "/b/k", ca });
  expect([answer.ending, answer.body.length]).toEqual(["reset", 1000]);
});

describe("matching", () => {
  const hits = (fault: Fault, requests: readonly (readonly ["get" | "list", string])[]) => {
    const list = new FaultList();
    list.add(fault);
    return requests.map(([operation, key]) => list.take(operation, key).length);
  };
  const gets = Array.from({ length: 7 }, () => ["get", "k"] as const);

  test.each([
    [{}, [1, 1, 1, 1, 1, 1, 1]],
    [{ times: 2 }, [1, 1, 0, 0, 0, 0, 0]],
    [{ nth: 3 }, [0, 0, 1, 0, 0, 0, 0]],
    [{ nth: 3, times: 2 }, [0, 0, 1, 1, 0, 0, 0]],
    [{ every: 3 }, [0, 0, 1, 0, 0, 1, 0]],
    [{ nth: 2, every: 3 }, [0, 1, 0, 0, 1, 0, 0]],
    [{ every: 2, times: 1 }, [0, 1, 0, 0, 0, 0, 0]],
    [{ operation: "list" }, [0, 0, 0, 0, 0, 0, 0]],
  ] as const)("%j hits the requests %j", (match, expected) => {
    expect(hits({ kind: "reset", ...match }, gets)).toEqual(expected);
  });

  test("operation and key select, and only what they select is counted", () => {
    const requests = [
      ["list", ""],
      ["get", "a/1"],
      ["get", "b"],
      ["get", "a/2"],
    ] as const;
    expect(hits({ kind: "reset", operation: "list" }, requests)).toEqual([1, 0, 0, 0]);
    expect(hits({ kind: "reset", key: "b" }, requests)).toEqual([0, 0, 1, 0]);
    expect(hits({ kind: "reset", key: /^a\//g, nth: 2 }, requests)).toEqual([0, 0, 0, 1]);
    expect(hits({ kind: "reset", keyPattern: "^a/", operation: "get" }, requests)).toEqual([0, 1, 0, 1]);
  });

  test.each([[null], [{ kind: "nonsense" }], [{ kind: "delay" }], [{ kind: "header", name: "x" }]])(
    "%j is no fault",
    (value) => {
      expect(() => parseFault(value)).toThrow(TypeError);
    },
  );
});
