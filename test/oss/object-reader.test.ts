import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CopyError } from "../../src/errors.ts";
import { ObjectReader, type ReadRequest } from "../../src/oss/object-reader.ts";
import { anonymousRequests } from "./anonymous-requests.ts";
import { type CannedAnswer, CannedTransport, header } from "./canned-transport.ts";
import { MemorySink } from "./memory-sink.ts";

const requests = anonymousRequests({ scheme: "http", host: "127.0.0.1", port: 80 });
const signal = new AbortController().signal;

const content = "0123456789";
const etag = '"E1"';
const whole: ReadRequest = { key: "k", etag, objectBytes: 10 };
const part: ReadRequest = { ...whole, range: { start: 2, length: 5 } };
const headers = {
  etag,
  "content-length": "10",
  "last-modified": "Wed, 28 Dec 2022 10:27:41 GMT",
  "x-oss-hash-crc64ecma": "18446744073709551615",
  "content-md5": "eB5eJF1ptWaXm4bijSPyxw==",
  "x-oss-request-id": "R1",
};
const good: CannedAnswer = { status: 200, headers, body: content };
const goodPart: CannedAnswer = {
  status: 206,
  headers: { ...headers, "content-length": "5", "content-range": "bytes 2-6/10" },
  body: "23456",
};

async function read(request: ReadRequest, answer: CannedAnswer) {
  const transport = new CannedTransport([answer]);
  const sink = new MemorySink();
  const outcome = await new ObjectReader(transport, requests).read(request, sink, signal).then(
    (head) => ({ head, error: undefined }),
    (error: unknown) => {
      if (!(error instanceof CopyError)) throw error;
      return { head: undefined, error };
    },
  );
  return { ...outcome, sink, request: transport.requests[0] };
}

function without(name: keyof typeof headers): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([other]) => other !== name));
}

describe("reading a whole object", () => {
  it("delivers the bytes and the head of the version that was listed", async () => {
    const { head, sink, request } = await read(whole, good);
    expect(sink.text).toBe(content);
    expect(head).toEqual({
      sizeBytes: 10,
      etag,
      crc64: 18446744073709551615n,
      contentMd5: "eB5eJF1ptWaXm4bijSPyxw==",
      requestId: "R1",
    });
    expect(sink.head).toEqual(head);
    expect(request).toEqual({ method: "GET", path: "/bkt/k", headers: { host: "127.0.0.1", "if-match": etag } });
  });

  it("takes an empty object", async () => {
    const answer = { status: 200, headers: { ...headers, "content-length": "0", "x-oss-hash-crc64ecma": "0" } };
    const { head, sink } = await read({ ...whole, objectBytes: 0 }, answer);
    expect(head?.crc64).toBe(0n);
    expect(sink.text).toBe("");
  });

  it("takes stored bytes as they are, whatever coding they are said to have", async () => {
    const { sink } = await read(whole, { ...good, headers: { ...headers, "content-encoding": "gzip" } });
    expect(sink.text).toBe(content);
  });

  it("does without checksums", async () => {
    const { etag: tag, "content-length": length, "last-modified": modified } = headers;
    const bare = { etag: tag, "content-length": length, "last-modified": modified };
    const { head } = await read(whole, { ...good, headers: bare });
    expect(head).toMatchObject({ crc64: undefined, contentMd5: undefined, requestId: undefined });
  });

  it("takes an ETag whose quotes the listing left out", async () => {
    const { head, request } = await read({ ...whole, etag: "E1" }, good);
    expect(head?.etag).toBe('"E1"');
    expect(header(request, "if-match")).toBe("E1");
  });
});

describe("reading a range", () => {
  it("asks for exactly these bytes of this version and takes nothing else", async () => {
    const { head, sink, request } = await read(part, goodPart);
    expect(sink.text).toBe("23456");
    expect(head?.sizeBytes).toBe(10);
    expect(request?.headers).toEqual({
      host: "127.0.0.1",
      "if-match": etag,
      range: "bytes=2-6",
      "x-oss-range-behavior": "standard",
    });
  });

  it("passes on a Content-MD5 only where the ETag shows that it covers the object", async () => {
    expect((await read(part, goodPart)).head?.contentMd5).toBeUndefined();
    const md5 = '"781E5E245D69B566979B86E28D23F2C7"';
    const answer = { ...goodPart, headers: { ...goodPart.headers, etag: md5 } };
    expect((await read({ ...part, etag: md5 }, answer)).head?.contentMd5).toBe("eB5eJF1ptWaXm4bijSPyxw==");
  });

  it.each([
    { start: 0, length: 0 },
    { start: -1, length: 2 },
    { start: 8, length: 3 },
  ])("refuses the range $start+$length as a defect of the caller", async (range) => {
    const reader = new ObjectReader(new CannedTransport([]), requests);
    await expect(reader.read({ ...whole, range }, new MemorySink(), signal)).rejects.toThrow(RangeError);
  });
});

describe("an answer that is not what was asked for", () => {
  const partHeaders = goodPart.headers ?? {};
  const cases: readonly [string, ReadRequest, CannedAnswer, string, string][] = [
    ["another version", whole, { ...good, headers: { ...headers, etag: '"E2"' } }, "changed", "its ETag is not"],
    [
      "another version of other length",
      whole,
      { ...good, headers: { ...headers, etag: "x", "content-length": "9" } },
      "changed",
      "ETag",
    ],
    ["no ETag", whole, { ...good, headers: without("etag") }, "protocol", "no ETag"],
    ["no length", whole, { ...good, headers: without("content-length") }, "protocol", "no Content-Length"],
    ["a length of nonsense", whole, { ...good, headers: { ...headers, "content-length": "1e1" } }, "protocol", "1e1"],
    [
      "a shorter length",
      whole,
      { ...good, headers: { ...headers, "content-length": "9" } },
      "protocol",
      "announces 9 bytes where 10",
    ],
    [
      "a checksum of nonsense",
      whole,
      { ...good, headers: { ...headers, "x-oss-hash-crc64ecma": "0x1" } },
      "protocol",
      "CRC-64 0x1",
    ],
    [
      "a checksum too large",
      whole,
      { ...good, headers: { ...headers, "x-oss-hash-crc64ecma": "18446744073709551616" } },
      "protocol",
      "no unsigned",
    ],
    ["a part for the whole", whole, { ...good, status: 206 }, "protocol", "the status is 206"],
    ["no content", whole, { ...good, status: 204 }, "protocol", "the status is 204"],
    ["the whole for a part", part, good, "protocol", "the status is 200"],
    [
      "another range",
      part,
      { ...goodPart, headers: { ...partHeaders, "content-range": "bytes 2-5/10" } },
      "protocol",
      '"bytes 2-6/10" was due',
    ],
    [
      "a range of another size",
      part,
      { ...goodPart, headers: { ...partHeaders, "content-range": "bytes 2-6/11" } },
      "protocol",
      "2-6/11",
    ],
    [
      "an open size",
      part,
      { ...goodPart, headers: { ...partHeaders, "content-range": "bytes 2-6/*" } },
      "protocol",
      "2-6/*",
    ],
    ["no range", part, { ...goodPart, headers: { ...headers, "content-length": "5" } }, "protocol", 'holds ""'],
    [
      "a range with another length",
      part,
      { ...goodPart, headers: { ...partHeaders, "content-length": "6" } },
      "protocol",
      "announces 6",
    ],
  ];

  it.each(cases)("is refused before its first byte: %s", async (_, request, answer, kind, words) => {
    const { error, sink } = await read(request, answer);
    expect(error).toMatchObject({ kind, receivedBytes: 0 });
    expect(error?.message).toContain(words);
    expect(error?.message).toContain('"k"');
    expect(sink.head).toBeUndefined();
  });

  it("is refused at the first byte too many, which the sink never gets", async () => {
    const { error, sink } = await read(whole, { ...good, body: `${content}X` });
    expect(error).toMatchObject({ kind: "protocol", receivedBytes: 11 });
    expect(content.startsWith(sink.text)).toBe(true);
  });

  it("is interrupted when bytes are missing", async () => {
    const { error } = await read(part, { ...goodPart, body: "234" });
    expect(error).toMatchObject({ kind: "interrupted", receivedBytes: 3 });
    expect(error?.message).toBe('"k": the body ended after 3 of 5 bytes');
  });

  it("never completes with other bytes than asked, however it is cut or grown", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 20 }),
        fc.boolean(),
        async (body, ranged) => {
          const { error, sink } = await read(ranged ? part : whole, { ...(ranged ? goodPart : good), body });
          if (error === undefined) expect(sink.text).toBe(body);
          expect(error === undefined).toBe(body.length === (ranged ? 5 : 10));
          expect(error?.receivedBytes ?? 0).toBeLessThanOrEqual(body.length);
        },
      ),
    );
  });
});

describe("a failed read", () => {
  it("is classified from its error document", async () => {
    const body = "<Error><Code>NoSuchKey</Code><Message>gone</Message><RequestId>R9</RequestId></Error>";
    const { error, sink } = await read(whole, { status: 404, body });
    expect(error).toMatchObject({ kind: "missing", requestId: "R9", receivedBytes: body.length });
    expect(error?.message).toBe('"k" was refused: 404 NoSuchKey, gone');
    expect(sink.head).toBeUndefined();
  });

  it("is classified without waiting for the end of an endless error document", async () => {
    const body = `<Error><Code>AccessDenied</Code>${" ".repeat(80_000)}</Error>`;
    const transport = new CannedTransport([{ status: 403, body }], 5000);
    const failure = new ObjectReader(transport, requests).read(whole, new MemorySink(), signal);
    await expect(failure).rejects.toMatchObject({ kind: "auth", message: '"k" was refused: 403 AccessDenied' });
    await expect(failure).rejects.toHaveProperty("receivedBytes", 64 * 1024 + 1);
  });

  it("keeps the transport's verdict and tells the bytes that had come", async () => {
    const failure = new CopyError("interrupted", "reset", { retryAfterMs: 7, requestId: "R2" });
    const { error } = await read(whole, { ...good, body: "0123", failure });
    expect(error).toMatchObject({
      kind: "interrupted",
      message: "reset",
      receivedBytes: 4,
      retryAfterMs: 7,
      requestId: "R2",
    });
    expect(error?.cause).toBe(failure);
  });

  it("of the sink is the sink's", async () => {
    const broken = new Error("disk on fire");
    const sink = new MemorySink();
    sink.filled = () => {
      throw broken;
    };
    const reader = new ObjectReader(new CannedTransport([good]), requests);
    await expect(reader.read(whole, sink, signal)).rejects.toBe(broken);
  });

  it("by an abort is the signal's reason", async () => {
    const reason = new Error("enough");
    const reader = new ObjectReader(new CannedTransport([good]), requests);
    await expect(reader.read(whole, new MemorySink(), AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});
