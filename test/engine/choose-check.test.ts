import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { chooseCheck } from "../../src/checksum/check.ts";

const md5 = createHash("md5").update("abc");
const hex = md5.copy().digest("hex");
const base64 = md5.digest("base64");
const head = { crc64: undefined, contentMd5: undefined, etag: '"none"' };

test("the service's CRC-64 decides first, even one that is zero", () => {
  expect(chooseCheck({ crc64: 0n, contentMd5: base64, etag: hex })).toEqual({ by: "crc64", expected: 0n });
});

test("without a CRC the Content-MD5 decides, and binds", () => {
  expect(chooseCheck({ ...head, contentMd5: base64, etag: hex })).toEqual({
    by: "md5",
    expected: base64,
    binding: true,
  });
});

test.each([hex, hex.toUpperCase(), `"${hex}"`])("an ETag that looks like an MD5 may be one: %s", (etag) => {
  expect(chooseCheck({ ...head, etag })).toEqual({ by: "md5", expected: base64, binding: false });
});

test.each(["", '""', `"${hex}-3"`, `W/"${hex}"`, `"${hex.slice(1)}"`, `"${hex}0"`, `"${hex}"\n`])(
  "an ETag like %j proves nothing",
  (etag) => {
    expect(chooseCheck({ ...head, etag })).toEqual({ by: "length" });
  },
);
