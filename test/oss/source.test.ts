import { describe, expect, it } from "vitest";
import { OssSource } from "../../src/oss/source.ts";
import type { ListPosition } from "../../src/types.ts";
import { anonymousRequests } from "./anonymous-requests.ts";
import { type CannedAnswer, CannedTransport } from "./canned-transport.ts";

const requests = anonymousRequests({ scheme: "https", host: "oss.example.com", port: 443 });
const signal = new AbortController().signal;

function sourceOf(...answers: CannedAnswer[]) {
  const transport = new CannedTransport(answers, 1000);
  return { transport, source: new OssSource(transport, requests, async () => {}) };
}

function page(keys: readonly string[], token?: string): CannedAnswer {
  const contents = keys.map(
    (key) =>
      `<Contents><Key>${key}</Key><Size>1</Size><ETag>"e"</ETag><LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>`,
  );
  const next = token === undefined ? "" : `<NextContinuationToken>${token}</NextContinuationToken>`;
  const body =
    `<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>${token !== undefined}</IsTruncated>${next}` +
    `${contents.join("")}</ListBucketResult>`;
  return { status: 200, body };
}

describe("listing", () => {
  it("asks for full pages with encoded keys, after a key or from a token", async () => {
    const { source, transport } = sourceOf(page(["p/a%20b"], "t%2B1"), page(["p/c"]), page([]));
    const first = await source.listPage({ prefix: "p/", startAfter: "p/ a" }, signal);
    expect(first.entries.map(({ key }) => key)).toEqual(["p/a b"]);
    expect(first.next).toEqual({ prefix: "p/", continuationToken: "t+1" });
    const second = await source.listPage(first.next ?? { prefix: "" }, signal);
    expect(second.next).toBeUndefined();
    await source.listPage({ prefix: "", maxKeys: 2 }, signal);
    expect(transport.requests.map(({ path }) => path)).toEqual([
      "/?encoding-type=url&list-type=2&max-keys=1000&prefix=p%2F&start-after=p%2F%20a",
      "/?continuation-token=t%2B1&encoding-type=url&list-type=2&max-keys=1000&prefix=p%2F",
      "/?encoding-type=url&list-type=2&max-keys=2",
    ]);
  });

  it("counts the bytes of a page and keeps the page size", async () => {
    const answer = page([], "t");
    const { source } = sourceOf(answer);
    const { receivedBytes, next } = await source.listPage({ prefix: "", maxKeys: 5 }, signal);
    expect(receivedBytes).toBe(answer.body?.length);
    expect(next).toEqual({ prefix: "", continuationToken: "t", maxKeys: 5 });
  });

  const refusals: readonly [string, ListPosition, CannedAnswer, string, string][] = [
    [
      "a repeated token",
      { prefix: "", continuationToken: "t" },
      page(["a"], "t"),
      "source",
      "the listing repeats its continuation token",
    ],
    ["a missing token", { prefix: "" }, page(["a"], ""), "protocol", "truncated and has no continuation token"],
    [
      "a stray key",
      { prefix: "p/" },
      page(["p/a", "q/%07"]),
      "protocol",
      "holds the key q/\\u{7}, which does not begin",
    ],
    ["a cut page", { prefix: "" }, { ...page(["a"]), body: "<ListBucketResult>" }, "protocol", "it ends inside"],
    ["another success", { prefix: "" }, { ...page([]), status: 206 }, "protocol", "status 206, not 200"],
    [
      "a missing bucket",
      { prefix: "" },
      { status: 404, body: "<Error><Code>NoSuchBucket</Code></Error>" },
      "source",
      "404 NoSuchBucket",
    ],
    [
      "a redirect",
      { prefix: "" },
      { status: 301, headers: { location: "https://x.example.com/" } },
      "source",
      "x.example.com",
    ],
  ];

  it.each(refusals)("is refused with %s", async (_, position, answer, kind, words) => {
    const { source } = sourceOf(answer);
    const failure = source.listPage(position, signal);
    await expect(failure).rejects.toMatchObject({ kind, message: expect.stringContaining(words) });
  });

  it("counts the bytes of a page that it refuses", async () => {
    const answer = page(["a"], "t");
    const { source } = sourceOf(answer);
    const failure = source.listPage({ prefix: "", continuationToken: "t" }, signal);
    await expect(failure).rejects.toHaveProperty("receivedBytes", answer.body?.length);
  });

  it("ends a page that does not end", async () => {
    const { source } = sourceOf();
    const endless = new CannedTransport([{ status: 200, body: " ".repeat(16 * 1024 * 1024 + 1) }], 1 << 20);
    await expect(
      new OssSource(endless, requests, async () => {}).listPage({ prefix: "" }, signal),
    ).rejects.toMatchObject({
      kind: "protocol",
      message: "the listing is longer than 16777216 bytes, which no page of keys is",
    });
    await expect(source.listPage({ prefix: "" }, signal)).rejects.toThrow("no answer is left");
  });
});

describe("the head of an object", () => {
  const headers = {
    etag: '"e"',
    "content-length": "123",
    "last-modified": "Wed, 28 Dec 2022 10:27:41 GMT",
    "x-oss-hash-crc64ecma": "7",
  };

  it("tells what a GET would serve", async () => {
    const more = {
      "x-oss-object-type": "Symlink",
      "x-oss-storage-class": "Archive",
      "x-oss-restore": 'ongoing-request="false", expiry-date="Sun, 16 Apr 2017 08:12:33 GMT"',
    };
    const { source, transport } = sourceOf({ status: 200, headers: { ...headers, ...more } });
    expect(await source.head("a b", signal)).toEqual({
      sizeBytes: 123,
      etag: '"e"',
      modifiedMs: 1672223261000,
      crc64: 7n,
      contentMd5: undefined,
      requestId: undefined,
      type: "Symlink",
      storageClass: "Archive",
      restored: true,
    });
    expect(transport.requests[0]).toMatchObject({ method: "HEAD", path: "/a%20b" });
  });

  it("is that of a usual object unless said otherwise", async () => {
    const { source } = sourceOf({ status: 200, headers });
    expect(await source.head("k", signal)).toMatchObject({ type: "Normal", storageClass: "Standard", restored: false });
  });

  it("fails like any request", async () => {
    const encoded = Buffer.from("<Error><Code>NoSuchKey</Code></Error>").toString("base64");
    const { source } = sourceOf(
      { status: 404, headers: { "x-oss-err": encoded } },
      { status: 200, headers: { etag: '"e"' } },
      { status: 200, headers, body: "?" },
      { status: 200, headers: { ...headers, "last-modified": "yesterday" } },
    );
    await expect(source.head("k", signal)).rejects.toMatchObject({ kind: "missing" });
    await expect(source.head("k", signal)).rejects.toMatchObject({
      kind: "protocol",
      message: expect.stringContaining("no Content-Length"),
    });
    await expect(source.head("k", signal)).rejects.toMatchObject({
      kind: "protocol",
      message: expect.stringContaining("has a body"),
    });
    await expect(source.head("k", signal)).rejects.toMatchObject({
      kind: "protocol",
      message: expect.stringContaining("no Last-Modified"),
    });
  });
});

describe("a refresh", () => {
  it("is asked of the session, with the server's clock and the signal", async () => {
    const asked: unknown[] = [];
    const source = new OssSource(new CannedTransport([]), requests, async (...given) => {
      asked.push(given);
    });
    await source.refresh({ serverTimeMs: 5, sentMsAgo: 7 }, signal);
    expect(asked).toEqual([[{ serverTimeMs: 5, sentMsAgo: 7 }, signal]]);
  });
});
