/** Requests, signatures, listings and reads against an OSS server that checks them, over the reference transport. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compareKeys } from "../../src/engine/key-order.ts";
import { CopyError } from "../../src/errors.ts";
import { type BucketLocation, bucketAddress } from "../../src/oss/endpoint.ts";
import { UndiciTransport } from "../../src/oss/http/undici-transport.ts";
import { ObjectReader } from "../../src/oss/object-reader.ts";
import { RequestBuilder } from "../../src/oss/request.ts";
import { OssSource } from "../../src/oss/source.ts";
import type { ListPosition, ObjectEntry } from "../../src/types.ts";
import { DEFAULT_CREDENTIAL, Emulator } from "../emulator/server.ts";
import { MemorySink } from "./memory-sink.ts";

const signal = new AbortController().signal;
const keys = ["a b+c%20", "a/../b", "a//b", "./x", "dir/", "line\nbreak\u0001", "ü", "\uffee", "💾/&<>\"'", "~!*'()"];
const text = "0123456789";

interface ClientOptions {
  readonly addressing?: BucketLocation["addressing"];
  readonly version?: "v4" | "v1";
  readonly securityToken?: string;
  readonly clockOffsetMs?: number;
}

function connect(emulator: Emulator, { addressing = "auto", version = "v4", ...options }: ClientOptions = {}) {
  const endpoint = { scheme: "http", host: "127.0.0.1", port: emulator.port } as const;
  const address = bucketAddress({ endpoint, addressing, bucket: "bkt" });
  const transport = new UndiciTransport({
    origin: address.origin,
    connections: 4,
    timeouts: { connectMs: 10_000, stallMs: 30_000, minBytesPerSecond: 0 },
  });
  const { accessKeyId, accessKeySecret } = DEFAULT_CREDENTIAL;
  const requests = new RequestBuilder({
    address,
    bucket: "bkt",
    signature: version === "v4" ? { version, region: emulator.region } : { version },
    state: {
      credentials: { accessKeyId, accessKeySecret, securityToken: options.securityToken },
      clockOffsetMs: options.clockOffsetMs ?? 0,
    },
    nowMs: Date.now,
  });
  return {
    source: new OssSource(transport, requests, async () => {}),
    reader: new ObjectReader(transport, requests),
    [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
  };
}

async function listAll(source: OssSource, first: ListPosition): Promise<ObjectEntry[]> {
  const entries: ObjectEntry[] = [];
  for (let at: ListPosition | undefined = first; at !== undefined; ) {
    const page: Awaited<ReturnType<OssSource["listPage"]>> = await source.listPage(at, signal);
    entries.push(...page.entries);
    at = page.next;
  }
  return entries;
}

let emulator: Emulator;

beforeAll(async () => {
  // A page of one entry now and then: only the service says whether a listing has ended.
  emulator = await Emulator.start({ buckets: ["bkt"], listing: { pageSizes: [3, 1, 1000] }, gzip: true });
  for (const key of keys) emulator.putObject("bkt", key, text);
});

afterAll(async () => {
  await emulator[Symbol.asyncDispose]();
});

describe.each([
  { addressing: "path", version: "v4" },
  { addressing: "virtual", version: "v4" },
  { addressing: "path", version: "v1" },
  { addressing: "virtual", version: "v1" },
] as const)("with $addressing addressing and signature $version", (options) => {
  it("any key is listed in order, read whole and in part, and asked for its head", async () => {
    await using client = connect(emulator, options);
    const entries = await listAll(client.source, { prefix: "", maxKeys: 4 });
    expect(entries.map(({ key }) => key)).toEqual(keys.toSorted(compareKeys));
    for (const { key, etag, sizeBytes, modifiedMs } of entries) {
      const whole = new MemorySink();
      const head = await client.reader.read({ key, etag, objectBytes: sizeBytes }, whole, signal);
      const part = new MemorySink();
      await client.reader.read({ key, etag, objectBytes: sizeBytes, range: { start: 3, length: 4 } }, part, signal);
      expect([whole.text, part.text]).toEqual([text, "3456"]);
      expect(part.head?.crc64).toBe(head.crc64);
      expect(await client.source.head(key, signal)).toMatchObject({ sizeBytes, etag, modifiedMs, crc64: head.crc64 });
    }
  });

  it("a listing goes on after any key", async () => {
    await using client = connect(emulator, options);
    const sorted = keys.toSorted(compareKeys);
    for (const [i, key] of sorted.entries()) {
      const rest = await listAll(client.source, { prefix: "", startAfter: key });
      expect(rest.map((entry) => entry.key)).toEqual(sorted.slice(i + 1));
    }
  });
});

describe("a service that has reasons", () => {
  it("refuses a version that is gone", async () => {
    await using client = connect(emulator);
    emulator.putObject("bkt", "fickle/x", text);
    const [entry] = await listAll(client.source, { prefix: "fickle/" });
    emulator.replaceObject("bkt", "fickle/x");
    const read = { key: "fickle/x", etag: entry?.etag ?? "", objectBytes: 10 };
    await expect(client.reader.read(read, new MemorySink(), signal)).rejects.toMatchObject({
      kind: "changed",
      message: expect.stringContaining("has changed since it was listed: 412 PreconditionFailed"),
    });
    emulator.deleteObject("bkt", "fickle/x");
    await expect(client.reader.read(read, new MemorySink(), signal)).rejects.toHaveProperty("kind", "missing");
    await expect(client.source.head("fickle/x", signal)).rejects.toHaveProperty("kind", "missing");
  });

  it("refuses an archived object until it is restored", async () => {
    await using client = connect(emulator);
    emulator.putObject("bkt", "cold/x", text, { storageClass: "ColdArchive" });
    const [entry] = await listAll(client.source, { prefix: "cold/" });
    expect(entry).toMatchObject({ storageClass: "ColdArchive", restored: false });
    const read = { key: "cold/x", etag: entry?.etag ?? "", objectBytes: 10 };
    await expect(client.reader.read(read, new MemorySink(), signal)).rejects.toMatchObject({
      kind: "unsupported",
      message: expect.stringContaining("must be restored before"),
    });
    emulator.deleteObject("bkt", "cold/x");
  });

  it("tells its clock when it refuses ours", async () => {
    await using client = connect(emulator, { clockOffsetMs: -3_600_000 });
    const failure = await client.source.listPage({ prefix: "" }, signal).catch((error: unknown) => error);
    expect(failure).toMatchObject({ kind: "expired", serverTimeMs: expect.any(Number) });
    const serverTimeMs = failure instanceof CopyError ? failure.serverTimeMs : undefined;
    expect(Math.abs((serverTimeMs ?? 0) - Date.now())).toBeLessThan(60_000);
  });

  it("refuses a wrong token, a missing bucket and a range that it will not serve exactly", async () => {
    await using stranger = connect(emulator, { securityToken: "wrong" });
    await expect(stranger.source.listPage({ prefix: "" }, signal)).rejects.toHaveProperty(
      "kind",
      expect.stringMatching(/^(expired|auth)$/),
    );
    await using client = connect(emulator);
    emulator.addFaults(
      { operation: "get", key: "ü", kind: "ignoreRange" },
      { operation: "list", nth: 1, kind: "cutXml" },
    );
    const [entry] = await listAll(client.source, { prefix: "ü" }).catch(() => listAll(client.source, { prefix: "ü" }));
    const read = { key: "ü", etag: entry?.etag ?? "", objectBytes: 10, range: { start: 0, length: 5 } };
    const sink = new MemorySink();
    await expect(client.reader.read(read, sink, signal)).rejects.toHaveProperty("kind", "protocol");
    expect(sink.head).toBeUndefined();
    emulator.clearFaults();
  });

  it("is slow down when it says so, for as long as it says", async () => {
    await using client = connect(emulator);
    emulator.addFaults({
      operation: "list",
      kind: "status",
      status: 503,
      ossCode: "ServiceUnavailable",
      retryAfter: 2,
      nth: 1,
    });
    await expect(client.source.listPage({ prefix: "" }, signal)).rejects.toMatchObject({
      kind: "throttled",
      retryAfterMs: 2000,
    });
    emulator.clearFaults();
  });
});
