import { XMLParser } from "fast-xml-parser";
import { afterAll, beforeAll, expect, test } from "vitest";
import { rawRequest } from "./raw-client.ts";
import { Emulator } from "./server.ts";

interface Entry {
  readonly Key: string;
  readonly Owner?: unknown;
}

interface Page {
  readonly Contents: readonly Entry[];
  readonly CommonPrefixes: readonly { readonly Prefix: string }[];
  readonly IsTruncated: string;
  readonly KeyCount?: string;
  readonly NextContinuationToken?: string;
  readonly NextMarker?: string;
  readonly MaxKeys: string;
  readonly Prefix: string;
}

const parser = new XMLParser({
  parseTagValue: false,
  trimValues: false,
  isArray: (name) => name === "Contents" || name === "CommonPrefixes",
});

const keys = ["a/1", "a/2", "a/b/3", "a+b &<1>", "b", "c/", "c/1", "c/2", "d e%", "z\u0001", "中/文", "\ue000", "🚀"];

let emulator: Emulator;
beforeAll(async () => {
  emulator = await Emulator.start({ anonymous: true });
  for (const key of keys) emulator.putObject("b", key, key);
  emulator.generate({ bucket: "many", count: 2500, sizeBytes: 10, perDirectory: 100 });
});
afterAll(() => emulator[Symbol.asyncDispose]());

async function list(query: Record<string, string>, server = emulator, bucket = "b"): Promise<Page> {
  const text = new URLSearchParams(query).toString().replaceAll("+", "%20");
  const answer = await rawRequest({ port: server.port, path: `/${bucket}/?${text}` });
  expect(answer.status, answer.body.toString()).toBe(200);
  const page = parser.parse(answer.body.toString()).ListBucketResult as Page;
  return { ...page, Contents: page.Contents ?? [], CommonPrefixes: page.CommonPrefixes ?? [] };
}

function inByteOrder(names: readonly string[]): string[] {
  return names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

async function pageThrough(query: Record<string, string>, server = emulator, bucket = "b"): Promise<Page[]> {
  const pages: Page[] = [];
  let position: Record<string, string> = {};
  for (;;) {
    const page = await list({ ...query, ...position }, server, bucket);
    pages.push(page);
    if (page.IsTruncated === "false") return pages;
    const token = decodeURIComponent(page.NextContinuationToken ?? "");
    position =
      query["list-type"] === "2"
        ? { "continuation-token": token }
        : { marker: decodeURIComponent(page.NextMarker ?? "") };
  }
}

function namesOf(pages: readonly Page[]): string[] {
  return pages.flatMap((page) => [
    ...page.Contents.map((entry) => decodeURIComponent(entry.Key)),
    ...page.CommonPrefixes.map((entry) => decodeURIComponent(entry.Prefix)),
  ]);
}

test.each(["1", "2"])("version %s lists every key once, in byte order, page by page", async (version) => {
  const pages = await pageThrough({ "list-type": version, "max-keys": "2", "encoding-type": "url" });
  expect(pages.length).toBe(Math.ceil(keys.length / 2));
  expect(namesOf(pages)).toEqual(inByteOrder(keys));
});

test("tokens are opaque and hold the characters that a client forgets to escape", async () => {
  for (const page of (await pageThrough({ "list-type": "2", "max-keys": "1", "encoding-type": "url" })).slice(0, -1)) {
    expect(page.NextContinuationToken).toMatch(/%2B.*%2F.*%3D$/);
  }
  const bad = await rawRequest({ port: emulator.port, path: "/b/?list-type=2&continuation-token=a%2Fb" });
  expect([bad.status, bad.body.toString()]).toEqual([400, expect.stringContaining("InvalidArgument")]);
});

test.each(["1", "2"])("version %s folds what lies below the delimiter, across pages", async (version) => {
  const query = { "list-type": version, delimiter: "/", "encoding-type": "url" };
  const folded = ["a/", "a+b &<1>", "b", "c/", "d e%", "z\u0001", "中/", "\ue000", "🚀"];
  expect(inByteOrder(namesOf([await list(query)]))).toEqual(inByteOrder(folded));
  const pages = await pageThrough({ ...query, "max-keys": "1" });
  expect(namesOf(pages)).toEqual(inByteOrder(folded));
  const below = await list({ ...query, prefix: "c/" });
  expect([namesOf([below]), below.CommonPrefixes.length]).toEqual([["c/", "c/1", "c/2"], 0]);
});

test("start-after and marker are exclusive and need not exist", async () => {
  expect(namesOf([await list({ "list-type": "2", prefix: "a/", "start-after": "a/1" })])).toEqual(["a/2", "a/b/3"]);
  expect(namesOf([await list({ prefix: "a/", marker: "a/10" })])).toEqual(["a/2", "a/b/3"]);
});

test("a page has a hundred entries unless told, and a thousand at most", async () => {
  const page = await list({ "list-type": "2" }, emulator, "many");
  expect([page.Contents.length, page.MaxKeys, page.KeyCount]).toEqual([100, "100", "100"]);
  const pages = await pageThrough({ "list-type": "2", "max-keys": "1000" }, emulator, "many");
  expect(pages.map((each) => each.Contents.length)).toEqual([1000, 1000, 500]);
  const folded = await list({ "list-type": "2", delimiter: "/" }, emulator, "many");
  expect(folded.CommonPrefixes.length).toBe(25);
  for (const value of ["0", "1001", "x"]) {
    const answer = await rawRequest({ port: emulator.port, path: `/b/?max-keys=${value}` });
    expect(answer.status).toBe(400);
  }
});

test("keys are escaped as XML, or encoded as asked, with %20 or + for a space", async () => {
  const plain = await rawRequest({ port: emulator.port, path: "/b/?list-type=2" });
  expect(plain.body.toString()).toContain("<Key>a+b &amp;&lt;1&gt;</Key>");
  const encoded = await rawRequest({ port: emulator.port, path: "/b/?list-type=2&encoding-type=url" });
  expect(encoded.body.toString()).toContain("<Key>a%2Bb%20%26%3C1%3E</Key>");
  await using other = await Emulator.start({ anonymous: true, listing: { plusForSpace: true } });
  other.putObject("b", "a+b c", "");
  expect((await list({ "list-type": "2", "encoding-type": "url" }, other)).Contents[0]?.Key).toBe("a%2Bb+c");
});

test("pages may be shorter than asked for", async () => {
  await using other = await Emulator.start({ anonymous: true, listing: { pageSizes: [3, 1, 700] } });
  other.generate({ bucket: "b", count: 1000, sizeBytes: 1 });
  const pages = await pageThrough({ "list-type": "2", "max-keys": "1000" }, other);
  expect(pages.map((page) => page.Contents.length)).toEqual([3, 1, 700, 3, 1, 292]);
});

test("an entry carries what the service says of an object", async () => {
  emulator.putObject("kinds", "k", "data", {
    type: "Appendable",
    storageClass: "IA",
    lastModifiedMs: 1_704_067_200_123,
  });
  const second = await list({ "list-type": "2", "fetch-owner": "true" }, emulator, "kinds");
  expect(second.Contents[0]).toMatchObject({
    Key: "k",
    Type: "Appendable",
    Size: "4",
    StorageClass: "IA",
    ETag: expect.stringMatching(/^"[0-9A-F]{32}-1"$/),
    LastModified: "2024-01-01T00:00:00.000Z",
    Owner: { ID: expect.any(String), DisplayName: expect.any(String) },
  });
  expect((await list({ "list-type": "2" }, emulator, "kinds")).Contents[0]?.Owner).toBeUndefined();
  expect((await list({}, emulator, "kinds")).Contents[0]?.Owner).toBeDefined();
});

test("the end of ten million keys is listed at once", async () => {
  emulator.generate({ bucket: "huge", count: 10_000_000, sizeBytes: 1, perDirectory: 1000 });
  const page = await list({ "list-type": "2", "start-after": "9999/9999997" }, emulator, "huge");
  expect(namesOf([page])).toEqual(["9999/9999998", "9999/9999999"]);
  const folded = await list({ "list-type": "2", delimiter: "/", "max-keys": "1000" }, emulator, "huge");
  expect([folded.CommonPrefixes.length, folded.IsTruncated]).toEqual([1000, "true"]);
});
