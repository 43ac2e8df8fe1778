/** The head of an answer to a ranged GET, ours against undici's list of raw headers: `node bench/micro/head-parser.bench.ts`. */

import { util } from "undici";
import { HeadParser } from "../../src/oss/http/response-head.ts";

const rounds = 9;
const headsPerRound = 50_000;
const lines = [
  "HTTP/1.1 206 Partial Content",
  "Server: AliyunOSS",
  "Date: Thu, 01 Jan 2026 00:00:00 GMT",
  "Content-Type: application/octet-stream",
  "Content-Length: 65536",
  "Connection: keep-alive",
  "x-oss-request-id: 65A4CF4D4F2D5C3339B5D1C4",
  "Content-Range: bytes 0-65535/536870912",
  "Accept-Ranges: bytes",
  'ETag: "5B3C1A2E053D763E1B002CC607C5A0FE-64"',
  "Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT",
  "x-oss-object-type: Multipart",
  "x-oss-hash-crc64ecma: 14741617095266562575",
  "x-oss-storage-class: Standard",
  "x-oss-server-time: 27",
];
const head = Buffer.from(lines.join("\r\n"), "latin1");
const raw = lines.slice(1).flatMap((line) => {
  const at = line.indexOf(":");
  return [Buffer.from(line.slice(0, at)), Buffer.from(line.slice(at + 2))];
});

function medianMicroseconds(work: () => unknown): string {
  const times = Array.from({ length: rounds }, () => {
    const start = process.hrtime.bigint();
    for (let i = 0; i < headsPerRound; i++) work();
    return Number(process.hrtime.bigint() - start) / 1e3 / headsPerRound;
  }).sort((a, b) => a - b);
  return `${times[rounds >> 1]?.toFixed(2)} µs (best ${times[0]?.toFixed(2)})`;
}

const parser = new HeadParser();
console.log(`one head of ${head.length} bytes and ${lines.length - 1} fields, median of ${rounds} rounds`);
console.log(`HeadParser                          ${medianMicroseconds(() => parser.parse(head, 0, head.length))}`);
// Its scan of the bytes runs in llhttp, below this.
console.log(`undici, raw headers to a record     ${medianMicroseconds(() => util.parseHeaders(raw))}`);
