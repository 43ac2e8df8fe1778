/** What the leaves of a listing say, read where they lie. Everything here throws CopyError `protocol`. */

import { CopyError } from "../errors.ts";
import { printable } from "./printable.ts";
import type { XmlScanner } from "./xml-scan.ts";

const timestamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;
const headerSafe = /^[\x20-\x7e]+$/;
/** Of any number with as many digits it is known that it is safe. */
const safeDigits = 15;
const [zero, dash, colon, dot, letterT, letterZ, percent] = [0x30, 0x2d, 0x3a, 0x2e, 0x54, 0x5a, 0x25];
const notHex = -1;
const hexDigits = new Int8Array(256).fill(notHex);
for (const [value, digit] of [..."0123456789abcdef"].entries()) {
  hexDigits[digit.charCodeAt(0)] = value;
  hexDigits[digit.toUpperCase().charCodeAt(0)] = value;
}
/** Where keys are decoded; one that is written longer is decoded in the general way. */
const room = Buffer.alloc(1024);

/** The whole number in the leaf `name` just entered. */
export function readCount(xml: XmlScanner, name: string): number {
  xml.leaf(name);
  const { bytes, from, to } = xml;
  const count = to > from && to - from <= safeDigits ? digits(bytes, from, to) : -1;
  return count >= 0 ? count : parseCount(xml.text().trim(), name);
}

export function parseCount(text: string, field: string): number {
  const count = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(count)) refuse(`its <${field}> ${printable(text, 32)} is no safe whole number`);
  return count;
}

/** The time in the leaf `name` just entered, in milliseconds since the epoch. */
export function readTimestamp(xml: XmlScanner, name: string): number {
  xml.leaf(name);
  return usualTimestamp(xml.bytes, xml.from, xml.to) ?? parseTimestamp(xml.text().trim());
}

/** Objects come by the thousand of a day: the day is parsed once. */
let day = { number: Number.NaN, ms: Number.NaN };

/** Of `2024-01-01T10:20:30.123Z`, the form that the service writes; undefined for any other. */
function usualTimestamp(bytes: Buffer, at: number, end: number): number | undefined {
  if (end - at !== 24 || bytes[at + 4] !== dash || bytes[at + 7] !== dash || bytes[at + 10] !== letterT)
    return undefined;
  if (bytes[at + 13] !== colon || bytes[at + 16] !== colon) return undefined;
  if (bytes[at + 19] !== dot || bytes[at + 23] !== letterZ) return undefined;
  const year = digits(bytes, at, at + 4);
  const month = digits(bytes, at + 5, at + 7);
  const date = digits(bytes, at + 8, at + 10);
  const hours = digits(bytes, at + 11, at + 13);
  const minutes = digits(bytes, at + 14, at + 16);
  const seconds = digits(bytes, at + 17, at + 19);
  const ms = digits(bytes, at + 20, at + 23);
  if ((year | month | date | hours | minutes | seconds | ms) < 0) return undefined;
  if (hours > 23 || minutes > 59 || seconds > 59) return undefined;
  const number = (year * 100 + month) * 100 + date;
  if (day.number !== number) {
    day = { number, ms: parseTimestamp(`${bytes.toString("latin1", at, at + 10)}T00:00:00.000Z`) };
  }
  return day.ms + ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms;
}

function parseTimestamp(text: string): number {
  const ms = timestamp.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(ms) ? refuse(`its <LastModified> ${printable(text, 40)} is no UTC time`) : ms;
}

/** Negative for anything but digits. */
function digits(bytes: Buffer, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at++) {
    const digit = (bytes[at] ?? 0) - zero;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** The text of the leaf `name` just entered, percent escapes undone: what `decodePercent` makes of it. */
export function readDecoded(xml: XmlScanner, name: string): string {
  xml.leaf(name);
  const length = xml.isPlain ? decodeAscii(xml.bytes, xml.from, xml.to) : undefined;
  return length === undefined ? decodePercent(xml.text()) : room.toString("latin1", 0, length);
}

/** Bytes in `room` that plain text has once decoded; undefined if they are not ASCII, or an escape is malformed. */
function decodeAscii(bytes: Buffer, from: number, to: number): number | undefined {
  if (to - from > room.length) return undefined;
  let length = 0;
  for (let at = from; at < to; at++) {
    let c = bytes[at] ?? 0;
    if (c === percent) {
      // Behind the text comes markup, which is not hexadecimal.
      c = ((hexDigits[bytes[at + 1] ?? 0] ?? notHex) << 4) | (hexDigits[bytes[at + 2] ?? 0] ?? notHex);
      at += 2;
      if (c < 0 || c >= 0x80) return undefined;
    }
    room[length++] = c;
  }
  return length;
}

/** The ETag in the leaf `name` just entered; empty if it cannot go back in `If-Match`. */
export function readEtag(xml: XmlScanner, name: string): string {
  const text = xml.string(name).trim();
  return xml.isPlain || headerSafe.test(text) ? text : "";
}

/** Undoes `%XX` only: official SDKs disagree about `+`, which stays what it is. */
export function decodePercent(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    const malformed = /%(?![0-9A-Fa-f]{2})/.test(text);
    const what = malformed ? "has a malformed percent escape" : "is not valid UTF-8 once decoded";
    throw new CopyError("protocol", `the listing holds ${printable(text)}, which ${what}`, { cause });
  }
}

export function refuse(what: string): never {
  throw new CopyError("protocol", `the listing cannot be used: ${what}`);
}
