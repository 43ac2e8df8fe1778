import { hash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RawAnswer, type RawRequest, rawRequest } from "./raw-client.ts";
import { Emulator, type EmulatorOptions } from "./server.ts";

const MODIFIED = "Mon, 01 Jan 2024 00:00:00 GMT";
const EARLIER = "Sun, 31 Dec 2023 00:00:00 GMT";
const LATER = "Tue, 02 Jan 2024 00:00:00 GMT";
const data = Buffer.from("0123456789".repeat(100));
const etag = hash("md5", data, "hex").toUpperCase();

let emulator: Emulator;
beforeAll(async () => {
  emulator = await Emulator.start({ anonymous: true });
  const options = { lastModifiedMs: Date.parse(MODIFIED) };
  emulator.putObject("b", "dir/key", data, options);
  emulator.putObject("b", "empty", "", options);
});
afterAll(() => emulator[Symbol.asyncDispose]());

function ask(path: string, headers: Record<string, string> = {}, more: Partial<RawRequest> = {}): Promise<RawAnswer> {
  return rawRequest({ port: emulator.port, path, headers, ...more });
}

const whole = [200, undefined, 1000] as const;
const refused = [416, undefined, undefined] as const;

describe("ranges of a thousand bytes", () => {
  test.each([
    ["bytes=0-99", [206, "bytes 0-99/1000", 100], [206, "bytes 0-99/1000", 100]],
    ["bytes=999-999", [206, "bytes 999-999/1000", 1], [206, "bytes 999-999/1000", 1]],
    ["bytes=900-", [206, "bytes 900-999/1000", 100], [206, "bytes 900-999/1000", 100]],
    ["bytes=-10", [206, "bytes 990-999/1000", 10], [206, "bytes 990-999/1000", 10]],
    ["bytes=500-2000", whole, [206, "bytes 500-999/1000", 500]],
    ["bytes=-2000", whole, [206, "bytes 0-999/1000", 1000]],
    ["bytes=1000-", whole, refused],
    ["bytes=1000-1001", whole, refused],
    ["bytes=-0", whole, refused],
    ["bytes=5-2", whole, whole],
    ["bytes=abc", whole, whole],
    ["bytes=0-1,5-6", whole, whole],
  ] as const)("%s", async (range, byDefault, standard) => {
    for (const [expected, extra] of [
      [byDefault, {}],
      [standard, { "x-oss-range-behavior": "standard" }],
    ] as const) {
      const answer = await ask("/b/dir/key", { Range: range, ...extra });
      const [status, contentRange, length] = expected;
      expect([answer.status, answer.headers.get("content-range")]).toEqual([status, contentRange]);
      if (status === 416) expect(answer.body.toString()).toContain("<Code>InvalidRange</Code>");
      else expect(answer.body.length).toBe(length);
      if (status === 206) {
        const start = Number(/ (\d+)-/.exec(contentRange)?.[1]);
        expect(answer.body.equals(data.subarray(start, start + length))).toBe(true);
        expect(answer.headers.get("x-oss-hash-crc64ecma")).toBe(emulator.bucket("b").get("dir/key")?.crcText);
      }
    }
  });

  test("any range of an empty object", async () => {
    expect((await ask("/b/empty", { Range: "bytes=0-5" })).status).toBe(200);
    expect((await ask("/b/empty", { Range: "bytes=0-5", "x-oss-range-behavior": "standard" })).status).toBe(416);
    expect((await ask("/b/empty", { Range: "bytes=-5", "x-oss-range-behavior": "standard" })).status).toBe(416);
  });
});

test.each([
  [{ "If-Match": `"${etag}"` }, 200],
  [{ "If-Match": etag }, 200],
  [{ "If-Match": '"other"' }, 412],
  [{ "If-None-Match": `"${etag}"` }, 304],
  [{ "If-None-Match": '"other"' }, 200],
  [{ "If-Modified-Since": MODIFIED }, 304],
  [{ "If-Modified-Since": EARLIER }, 200],
  [{ "If-Unmodified-Since": MODIFIED }, 200],
  [{ "If-Unmodified-Since": EARLIER }, 412],
  [{ "If-Match": etag, "If-Unmodified-Since": EARLIER }, 200],
  [{ "If-None-Match": '"other"', "If-Modified-Since": LATER }, 200],
  [{ "If-Match": '"other"', Range: "bytes=0-1" }, 412],
] as const)("the conditions %j are answered with %i", async (headers, status) => {
  const answer = await ask("/b/dir/key", headers);
  expect(answer.status).toBe(status);
  if (status === 412) expect(answer.body.toString()).toContain("<Code>PreconditionFailed</Code>");
  if (status === 304) expect([answer.body.length, answer.headers.get("etag")]).toEqual([0, `"${etag}"`]);
});

test("an object comes with the headers of the service", async () => {
  const answer = await ask("/b/dir/key");
  expect(Object.fromEntries(answer.headers)).toMatchObject({
    "accept-ranges": "bytes",
    "content-length": "1000",
    "content-type": "application/octet-stream",
    etag: `"${etag}"`,
    "last-modified": MODIFIED,
    "x-oss-hash-crc64ecma": emulator.bucket("b").get("dir/key")?.crcText,
    "x-oss-object-type": "Normal",
    "x-oss-request-id": expect.stringMatching(/^[0-9A-F]{24}$/),
    "x-oss-server-time": expect.stringMatching(/^\d+$/),
    "x-oss-storage-class": "Standard",
  });
  expect(answer.body.equals(data)).toBe(true);
});

test("checksums are left out, or added, as asked", async () => {
  emulator.putObject("b", "old", data, { crc: false, contentMd5: true });
  const answer = await ask("/b/old");
  expect(answer.headers.has("x-oss-hash-crc64ecma")).toBe(false);
  expect(answer.headers.get("content-md5")).toBe(hash("md5", data, "base64"));
  await using without = await Emulator.start({ anonymous: true, crc: false });
  without.putObject("b", "k", data);
  const other = await rawRequest({ port: without.port, path: "/b/k" });
  expect([other.status, other.headers.has("x-oss-hash-crc64ecma")]).toEqual([200, false]);
});

test("HEAD has the headers of GET, and its errors in x-oss-err", async () => {
  const answer = await ask("/b/dir/key", {}, { method: "HEAD" });
  expect([answer.status, answer.headers.get("content-length"), answer.body.length]).toEqual([200, "1000", 0]);
  const missing = await ask("/b/nothing", {}, { method: "HEAD" });
  expect(missing.status).toBe(404);
  const xml = Buffer.from(missing.headers.get("x-oss-err") ?? "", "base64").toString();
  expect(xml).toMatch(/<Code>NoSuchKey<\/Code>[\s\S]*<RequestId>[\s\S]*<HostId>127[\s\S]*<EC>0026-00000001<\/EC>/);
});

test("a link is answered with its target, and described as itself", async () => {
  emulator.putObject("b", "link", "", { symlinkTarget: "dir/key" });
  emulator.putObject("b", "loop", "", { symlinkTarget: "link" });
  emulator.putObject("b", "broken", "", { symlinkTarget: "中" });
  const answer = await ask("/b/link");
  expect(answer.body.equals(data)).toBe(true);
  expect([answer.headers.get("etag"), answer.headers.get("x-oss-object-type")]).toEqual([`"${etag}"`, "Symlink"]);
  expect((await ask("/b/link?symlink")).headers.get("x-oss-symlink-target")).toBe("dir/key");
  expect((await ask("/b/dir/key?symlink")).body.toString()).toContain("<Code>NotSymlink</Code>");
  const broken = await ask("/b/broken");
  expect([broken.status, broken.body.toString()]).toEqual([404, expect.stringContaining("SymlinkTargetNotExist")]);
  expect((await ask("/b/loop")).body.toString()).toContain("<Code>InvalidTargetType</Code>");
  const list = (await ask("/b/?list-type=2&prefix=link")).body.toString();
  expect(list).toMatch(/<Type>Symlink<\/Type>\s*<Size>0<\/Size>/);
  expect(list).not.toContain(etag);
});

test("archived objects can be looked at but not read until they are restored", async () => {
  emulator.putObject("b", "cold", data, { storageClass: "Archive" });
  emulator.putObject("b", "thawing", data, { storageClass: "ColdArchive", restoreInfo: 'ongoing-request="true"' });
  const restoreInfo = 'ongoing-request="false", expiry-date="Sun, 16 Apr 2034 08:12:33 GMT"';
  emulator.putObject("b", "warm", data, { storageClass: "DeepColdArchive", restoreInfo });
  for (const key of ["cold", "thawing"]) {
    const answer = await ask(`/b/${key}`);
    expect([answer.status, answer.body.toString()]).toEqual([403, expect.stringContaining("InvalidObjectState")]);
    expect((await ask(`/b/${key}`, {}, { method: "HEAD" })).status).toBe(200);
  }
  const warm = await ask("/b/warm");
  expect([warm.status, warm.headers.get("x-oss-restore")]).toEqual([200, restoreInfo]);
  expect((await ask("/b/?list-type=2&prefix=warm")).body.toString()).toContain(
    "<RestoreInfo>ongoing-request=&quot;false",
  );
});

test("text of a kilobyte is compressed for a client that offers gzip, and then has neither length nor ETag", async () => {
  const json = { contentType: "application/json; charset=utf-8" };
  emulator.putObject("b", "text", data.toString() + "x".repeat(24), json);
  emulator.putObject("b", "short", "x".repeat(1023), json);
  const offer = { "Accept-Encoding": "gzip" };
  const answer = await ask("/b/text", offer);
  expect(answer.headers.get("content-encoding")).toBe("gzip");
  for (const name of ["content-length", "etag", "accept-ranges"]) expect(answer.headers.has(name)).toBe(false);
  const size = Number.parseInt(answer.body.toString("latin1"), 16);
  const start = answer.body.indexOf("\r\n") + 2;
  expect(gunzipSync(answer.body.subarray(start, start + size)).length).toBe(1024);
  for (const [path, headers] of [
    ["/b/short", offer],
    ["/b/dir/key", offer],
    ["/b/text", {}],
    ["/b/text", { ...offer, Range: "bytes=0-5" }],
  ] as const) {
    expect((await ask(path, headers)).headers.has("content-encoding")).toBe(false);
  }
});

test("a public bucket is not written without a signature", async () => {
  const refusedPut = await ask("/b/new", {}, { method: "PUT", body: "text" });
  expect(refusedPut.body.toString()).toContain("<Code>AccessDenied</Code>");
  expect((await ask("/b/new", {}, { method: "DELETE" })).status).toBe(403);
  expect((await ask("/b/new")).status).toBe(404);
});

test.each([
  ["path style on an IP address", "127.0.0.1", "/b/dir/key", {}, 200],
  ["path style on a single label", "localhost:80", "/b/dir/key", {}, 200],
  ["virtual host", "b.localhost", "/dir/key", {}, 200],
  ["virtual host of the service", "b.oss-cn-hangzhou.aliyuncs.com", "/dir%2Fkey", {}, 200],
  ["the service's own host", "oss-cn-hangzhou.aliyuncs.com", "/b/dir/key", {}, 200],
  ["a custom domain", "data.example.com", "/dir/key", { cnames: { "data.example.com": "b" } }, 200],
  ["a missing bucket", "other.localhost", "/dir/key", {}, 404],
  ["path style where it is off", "127.0.0.1", "/b/dir/key", { addressing: "virtual" }, 403],
  ["virtual host where path style is off", "b.localhost", "/dir/key", { addressing: "virtual" }, 200],
  ["a path that does not decode", "b.localhost", "/%ff", {}, 400],
] as const)("addressing: %s", async (_, Host, path, options: EmulatorOptions, status) => {
  await using own = await Emulator.start({ anonymous: true, ...options });
  own.putObject("b", "dir/key", data);
  const answer = await rawRequest({ port: own.port, path, headers: { Host } });
  expect(answer.status).toBe(status);
  const code = { 404: "NoSuchBucket", 403: "SecondLevelDomainForbidden", 400: "InvalidArgument", 200: "" }[status];
  expect(answer.body.toString()).toContain(code);
});

test("over TLS the certificate is good for localhost and the service's names", async () => {
  const { readFile } = await import("node:fs/promises");
  await using own = await Emulator.start({ anonymous: true, tls: true });
  own.generate({ bucket: "b", count: 1, sizeBytes: 3_000_000 });
  const ca = await readFile(own.caFile ?? "", "utf8");
  const answer = await rawRequest({ port: own.port, path: "/b/0000", ca });
  expect([own.url, answer.status, answer.body.length]).toEqual([`https://127.0.0.1:${own.port}`, 200, 3_000_000]);
});
