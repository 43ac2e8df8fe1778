/** One full listing page, our scan against a general XML parser: `node bench/micro/listing-xml.bench.ts`. */

import { XMLParser } from "fast-xml-parser";
import { parseListing } from "../../src/oss/listing-xml.ts";

const keys = 1000;
const rounds = 60;

function contents(i: number): string {
  const key = `datasets%2Fimages%2Ftrain%2Fclass-${i % 37}%2Fpicture%20${String(i).padStart(7, "0")}.jpeg`;
  return (
    `  <Contents>\n    <Key>${key}</Key>\n    <TransitionTime>2024-04-30T07:26:58.000Z</TransitionTime>\n` +
    `    <LastModified>2024-01-01T00:00:00.000Z</LastModified>\n    <ETag>"5B3C1A2E053D763E1B002CC607C5A0FE"</ETag>\n` +
    `    <Type>Normal</Type>\n    <Size>${i * 1021}</Size>\n    <StorageClass>Standard</StorageClass>\n  </Contents>\n`
  );
}

const page = Buffer.from(
  `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult>\n  <Name>bucket</Name>\n  <EncodingType>url</EncodingType>\n` +
    `  <IsTruncated>false</IsTruncated>\n  <KeyCount>${keys}</KeyCount>\n` +
    `${Array.from({ length: keys }, (_, i) => contents(i)).join("")}</ListBucketResult>\n`,
);

function medianMs(work: () => unknown): string {
  const times = Array.from({ length: rounds }, () => {
    const start = process.hrtime.bigint();
    work();
    return Number(process.hrtime.bigint() - start) / 1e6;
  }).sort((a, b) => a - b);
  return `${times[rounds >> 1]?.toFixed(2)} ms (best ${times[0]?.toFixed(2)})`;
}

const general = new XMLParser({ parseTagValue: false });
console.log(`${keys} keys, ${page.length} bytes, median of ${rounds}`);
console.log(`parseListing     ${medianMs(() => parseListing(page))}`);
console.log(`fast-xml-parser  ${medianMs(() => general.parse(page))}`);
