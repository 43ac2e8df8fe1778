import { resolve } from "node:path";
import { expect, test } from "vitest";
import { parseConfig } from "../../src/config/parse.ts";
import { parseCheckpoint, stringifyCheckpoint } from "../../src/engine/checkpoint-format.ts";
import { ConfigError, CopyError, type ErrorKind } from "../../src/errors.ts";
import { escapeControls } from "../../src/observe/escape.ts";
import { refusal } from "../../src/oss/error-response.ts";
import type { ResponseHead } from "../../src/oss/http/transport.ts";
import { parseListing } from "../../src/oss/listing-xml.ts";
import { contentLength, modifiedMsOf, objectHead } from "../../src/oss/object-head.ts";
import { parseOwnerRecord, stringifyOwnerRecord } from "../../src/volume/owner-format.ts";
import { directoryMarkerPath, resolvePath } from "../../src/volume/path.ts";
import { inputOf } from "../config/support.ts";
import { fuzzSeconds, type Judge, readCorpus, runCampaign, runSlowCampaign } from "./campaign.ts";
import { mutated } from "./mutations.ts";

const timeout = 60_000 + 2000 * fuzzSeconds;

/** "refused" if the call threw a CopyError of this kind; its message is one line that is fit to be shown. */
function refusedAs(kind: ErrorKind, call: () => void, judgeMessage = expectShowable): ReturnType<Judge> {
  try {
    call();
    return "accepted";
  } catch (error) {
    if (!(error instanceof CopyError) || error.kind !== kind) throw error;
    judgeMessage(error.message);
    return "refused";
  }
}

function expectShowable(message: string): void {
  expect(message.length).toBeLessThan(2000);
  expect(message).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]|undefined|\[object|native code/u);
}

test("pages of listings are read whole or refused", { timeout }, () => {
  const words = [
    ..."<Contents> </Contents> <Key> </Key> <Key/> <Size> <IsTruncated>true</IsTruncated> <KeyCount> <![CDATA[ ]]>".split(
      " ",
    ),
    ...[
      "<!--",
      "-->",
      "<?",
      "?>",
      "<!DOCTYPE",
      "&lt;",
      "&amp;",
      "&#",
      "&#x",
      "&toString;",
      '="',
      "<A a='>'>",
      "</A>",
      "/>",
    ],
    ...["<EncodingType>url</EncodingType>", "2024-02-30T00:00:00.000Z", "%ED%A0%80", "ListBucketResult"],
  ];
  const judge: Judge = (input) =>
    refusedAs("protocol", () => {
      const { entries, nextContinuationToken } = parseListing(input);
      for (const { key, etag, sizeBytes, modifiedMs, type, storageClass } of entries) {
        expect(key).not.toBe("");
        expect([key, type, storageClass].every((text) => text.isWellFormed())).toBe(true);
        expect(etag).toMatch(/^[\x20-\x7e]+$/);
        expect(Number.isSafeInteger(sizeBytes) && sizeBytes >= 0 && Number.isSafeInteger(modifiedMs)).toBe(true);
      }
      expect(nextContinuationToken?.isWellFormed()).not.toBe(false);
      expect(parseListing(input.toString())).toEqual(parseListing(input));
      // Cut anywhere before the end of its root element it is no page any more.
      const end = input.lastIndexOf("</ListBucketResult");
      const cut = (entries.length * 7919 + input.length) % (end + 1);
      expect(() => parseListing(input.subarray(0, cut))).toThrow(CopyError);
    });
  const inputs = mutated(readCorpus("listing"), words);
  expect(runCampaign({ name: "listing", inputs, judge, runs: 300 }).accepted).toBeGreaterThan(2);
});

test("answers that refuse become failures that can be shown, whatever their bodies hold", { timeout }, () => {
  const words = [
    "<Code>",
    "</Code>",
    "<Message>",
    "</Message>",
    "<![CDATA[",
    "]]>",
    "&#27;",
    "&#x202e;",
    "&lt",
    "\u001b[31m",
  ];
  const request = { operation: "get", key: "data/\u001b[31m\u202ea", bucket: "b" } as const;
  const judge: Judge = (input) => {
    const headers = input.length % 2 === 0 ? {} : { "x-oss-err": input.toString("base64") };
    const body = input.length % 2 === 0 ? input : Buffer.alloc(0);
    for (const status of [200, 302, 400, 403, 404, 412, 416, 500, 503]) {
      const error = refusal(request, { status, headers }, body);
      expectShowable(error.message);
      if (error.requestId !== undefined) expectShowable(error.requestId);
    }
    return "accepted";
  };
  runCampaign({ name: "error answers", inputs: mutated(readCorpus("error"), words), judge, runs: 300 });
});

/** A status and header lines, as the corpus has them. */
function headOf(input: Buffer): ResponseHead {
  const [status = "", ...lines] = input.toString("latin1").split("\n");
  const headers = lines.map((line) => line.split(/:(.*)/s)).map(([name = "", value = ""]) => [name, value.trim()]);
  return { status: Number(status) || 200, headers: Object.fromEntries(headers) };
}

const asked = { operation: "head", key: "a" } as const;

test("heads of objects say all that is needed or are refused", { timeout }, () => {
  const words = [
    "etag: ",
    "last-modified: ",
    "content-length: ",
    "x-oss-hash-crc64ecma: ",
    "18446744073709551616",
    "\n",
    "retry-after: ",
  ];
  const judge: Judge = (input) => {
    const head = headOf(input);
    const failed = refusal(asked, head, Buffer.alloc(0));
    expectShowable(failed.message);
    const { retryAfterMs = 0, serverTimeMs = 0 } = failed;
    expect(retryAfterMs >= 0 && retryAfterMs <= 3_600_000 && Number.isSafeInteger(serverTimeMs)).toBe(true);
    return refusedAs("protocol", () => {
      const { etag, crc64 } = objectHead(head, 1, asked);
      expect(etag).not.toBe("");
      expect(Number.isSafeInteger(modifiedMsOf(head, asked))).toBe(true);
      if (crc64 !== undefined) expect(crc64 >= 0n && crc64 < 1n << 64n).toBe(true);
      expect(Number.isSafeInteger(contentLength(head, asked))).toBe(true);
    });
  };
  runCampaign({ name: "object heads", inputs: mutated(readCorpus("object-head"), words), judge, runs: 300 });
});

test("no key leads out of the target", { timeout }, () => {
  const words = [
    "../",
    "/..",
    "//",
    "./",
    "lost+found/",
    ".oss-populator",
    ".OSS-POPULATOR/",
    "\0",
    "\\",
    "a".repeat(256),
  ];
  const judge: Judge = (input) => {
    const key = input.toString();
    const named = (text: string) => (message: string) => expect(message).toContain(JSON.stringify(text));
    const judged = refusedAs(
      "unsupported",
      () => {
        const path = resolvePath(key);
        expect(path).toBe(key);
        expect(resolve("/target", path)).toBe(`/target/${path}`);
        expect(path).not.toMatch(/\0|^lost\+found(\/|$)/);
        expect(path).not.toMatch(/^\.oss-populator(\/|$)/i);
        for (const segment of path.split("/")) expect(Buffer.byteLength(segment)).toBeLessThanOrEqual(255);
      },
      named(key),
    );
    const marker = `${key}/`;
    const markerPath = () => expect(resolve("/target", directoryMarkerPath(marker))).toBe(`/target/${key}`);
    refusedAs("unsupported", markerPath, named(marker));
    return judged;
  };
  runCampaign({ name: "keys", inputs: mutated(readCorpus("key"), words), judge, runs: 300 });
});

test("checkpoints and owner records that anyone may have written are read whole or refused", { timeout }, () => {
  const words = [
    '"',
    "{",
    "}",
    "[",
    "]",
    ",",
    "null",
    "true",
    "oss-populator.",
    "/v1",
    "/v2",
    "\\ud800",
    '"__proto__":',
  ];
  const checkpoint: Judge = (input) => {
    const loaded = parseCheckpoint(input);
    if (loaded.status !== "ok") {
      expectShowable(loaded.reason);
      return "refused";
    }
    expect(parseCheckpoint(Buffer.from(stringifyCheckpoint(loaded.state)))).toEqual(loaded);
    return "accepted";
  };
  runCampaign({ name: "checkpoints", inputs: mutated(readCorpus("checkpoint"), words), judge: checkpoint, runs: 300 });
  const owner: Judge = (input) => {
    const state = parseOwnerRecord(input.toString());
    if (state.status !== "ours") {
      if ("reason" in state) expectShowable(state.reason);
      return "refused";
    }
    expect(parseOwnerRecord(stringifyOwnerRecord(state.record))).toEqual(state);
    return "accepted";
  };
  runCampaign({ name: "owner records", inputs: mutated(readCorpus("owner"), words), judge: owner, runs: 300 });
});

test("a spec becomes a Config or a list of problems", { timeout }, async () => {
  const words = [
    "bucket: ",
    "region: ",
    "generic:\n",
    "  ",
    "- ",
    "? ",
    "&a ",
    "*a",
    "!!",
    "|\n",
    ">\n",
    "---\n",
    "...\n",
    "{",
    "}",
    "<<: ",
  ];
  const judge = async (input: Buffer): Promise<ReturnType<Judge>> => {
    const files = { spec: input.toString() };
    try {
      await parseConfig(inputOf(["populate", "--target", "/data", "--spec", "spec"], { files }));
      return "accepted";
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      expect(error.problems.length).toBeGreaterThan(0);
      for (const problem of error.problems) expectShowable(escapeControls(problem));
      return "refused";
    }
  };
  await runSlowCampaign({ name: "specs", inputs: mutated(readCorpus("spec"), words), judge, runs: 300 });
});
