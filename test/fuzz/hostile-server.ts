/** A server of objects that answers in every way but the right one, now and then in the right one too. */

import { type RawServer, type Received, rawServer } from "../contract/transport-server.ts";
import { crcDecimal, crcOf } from "../emulator/crc64.ts";

/** Whole numbers from 0 to below. */
export type Chance = (below: number) => number;

export function chance(seed: number): Chance {
  let state = (seed % 2_147_483_646) + 1;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

/** Content that no other object has anywhere. */
export function contentOf(id: number): Buffer {
  const random = chance(id * 7919);
  const sizes = [0, 1, 13, 4096, 16_384, 65_536, 100_000, 200_000];
  const size = sizes[random(sizes.length)] ?? 0;
  const bytes = Buffer.allocUnsafe(size === 0 ? 0 : size - random(Math.min(size, 100)));
  for (let at = 0; at < bytes.length; at++) bytes[at] = (id * 131 + at * 31 + (at >> 8) * 17 + (at >> 16)) & 0xff;
  return bytes;
}

export const etagOf = (id: number): string => `"E${id}"`;

/** An answer as it would be right: the lines of its head, and its body. */
interface Right {
  readonly lines: readonly string[];
  readonly body: Buffer;
}

function rightAnswer(id: number, range: string | undefined): Right {
  const content = contentOf(id);
  const [, first, last] = /bytes=(\d+)-(\d+)/.exec(range ?? "") ?? [];
  const body = first === undefined ? content : content.subarray(Number(first), Number(last) + 1);
  const lines = [
    first === undefined ? "HTTP/1.1 200 OK" : "HTTP/1.1 206 Partial Content",
    "Server: AliyunOSS",
    "Connection: keep-alive",
    `Content-Length: ${body.length}`,
    `ETag: ${etagOf(id)}`,
    "Last-Modified: Wed, 28 Dec 2022 10:27:41 GMT",
    `x-oss-hash-crc64ecma: ${crcDecimal(crcOf(content))}`,
  ];
  if (first !== undefined) lines.push(`Content-Range: bytes ${first}-${last}/${content.length}`);
  return { lines, body };
}

const bytesOf = ({ lines, body }: Right): Buffer => Buffer.concat([headOf(lines), body]);
const headOf = (lines: readonly string[]): Buffer => Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");

interface Turn extends Right {
  readonly id: number;
  readonly range: string | undefined;
  readonly random: Chance;
  readonly received: Received;
  write(bytes: Buffer | string): void;
}

type Way = (turn: Turn) => void;

/** Every way to answer. None of them may make a client take a wrong byte for a right one, or wait for ever. */
export const ways: Readonly<Record<string, Way>> = {
  right: ({ write, ...right }) => write(bytesOf(right)),
  "right, in pieces": ({ write, random, received, ...right }) => inPieces(bytesOf(right), random, received),
  "right, after a while": ({ write, random, ...right }) => later(random, () => write(bytesOf(right))),
  "right, after informational answers": ({ write, ...right }) =>
    write(
      Buffer.concat([Buffer.from("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nX: y\r\n\r\n"), bytesOf(right)]),
    ),
  "right, and the end": ({ received, ...right }) => received.socket.end(bytesOf(right)),
  "right, and said to be the last": ({ write, lines, body }) =>
    write(bytesOf({ lines: [...lines, "Connection: close"], body })),
  "informational for ever": ({ write }) => write("HTTP/1.1 100 Continue\r\n\r\n".repeat(100)),
  "nothing at all": () => {},
  "the end": ({ received }) => received.socket.end(),
  "a reset": ({ received }) => received.reset(),
  "cut and ended": ({ received, random, ...right }) => received.socket.end(cut(bytesOf(right), random)),
  "cut and reset": ({ write, received, random, ...right }) => {
    write(cut(bytesOf(right), random));
    later(random, () => received.reset());
  },
  "cut and silent": ({ write, random, ...right }) => write(cut(bytesOf(right), random)),
  "another body after the body": ({ write, ...right }) =>
    write(Buffer.concat([bytesOf(right), bytesOf(rightAnswer(right.id + 1, undefined))])),
  "another body some time after": ({ write, random, ...right }) => {
    write(bytesOf(right));
    later(random, () => write(bytesOf(rightAnswer(right.id + 1, undefined))));
  },
  "garbage after the body": ({ write, random, ...right }) => {
    write(bytesOf(right));
    later(random, () => write("\0\r\n\r\ngarbage"));
  },
  "another object": ({ write, id, range }) => write(bytesOf(rightAnswer(id + 1, range))),
  "another object under this name": ({ write, id, lines, body }) => {
    const other = contentOf(id + 1);
    write(bytesOf({ lines, body: Buffer.concat([other, body]).subarray(0, body.length) }));
  },
  "the whole instead of a range": ({ write, id }) => write(bytesOf(rightAnswer(id, undefined))),
  "a shifted range": ({ write, lines, body }) =>
    write(
      bytesOf({ lines: lines.map((line) => line.replace(/bytes (\d+)/, (_, at) => `bytes ${Number(at) + 1}`)), body }),
    ),
  "a flipped bit": ({ write, random, lines, body }) => {
    const flipped = Buffer.from(body);
    const at = random(Math.max(1, body.length));
    if (body.length > 0) flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << random(8)), at);
    write(bytesOf({ lines, body: flipped }));
  },
  "fewer bytes, honestly": ({ write, lines, body }) => write(bytesOf(withBody(lines, body.subarray(0, -1)))),
  "more bytes, honestly": ({ write, lines, body }) =>
    write(bytesOf(withBody(lines, Buffer.concat([body, Buffer.from("x")])))),
  "chunks instead of a length": ({ write, random, lines, body }) =>
    write(Buffer.concat([headOf(coded(lines)), ...chunks(body, random), Buffer.from("0\r\nX-Trailer: y\r\n\r\n")])),
  "chunks without an end": ({ received, random, lines, body }) =>
    received.socket.end(Buffer.concat([headOf(coded(lines)), ...chunks(body, random)])),
  "a length and chunks": ({ write, lines, body }) =>
    write(bytesOf({ lines: [...lines, "Transfer-Encoding: chunked"], body })),
  "no length": ({ received, lines, body }) =>
    received.socket.end(bytesOf({ lines: lines.filter((line) => !line.startsWith("Content-Length")), body })),
  "no content, with content": ({ write, lines, body }) =>
    write(bytesOf({ lines: ["HTTP/1.1 204 No Content", ...lines.slice(1)], body })),
  "not modified, with content": ({ write, lines, body }) =>
    write(bytesOf({ lines: ["HTTP/1.1 304 Not Modified", ...lines.slice(1)], body })),
  "an upgrade": ({ write }) => write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"),
  "a redirect": ({ write }) =>
    write("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/elsewhere\r\nContent-Length: 0\r\n\r\n"),
  "a refusal": ({ write, random }) => write(refusals[random(refusals.length)] ?? ""),
  "a refusal that ends with the connection": ({ received }) =>
    received.socket.end("HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\n<Error><Code>ServiceUnavailable</Code></Error>"),
  "a refusal without end": ({ write, received }) => {
    write("HTTP/1.1 500 No\r\nContent-Length: 999999999\r\n\r\n");
    flood(received, "x".repeat(65_536));
  },
  "a huge header": ({ write, lines, body }) => write(bytesOf({ lines: [...lines, `X: ${"y".repeat(70_000)}`], body })),
  "headers without end": ({ write, received }) => {
    write("HTTP/1.1 200 OK\r\n");
    flood(received, "X-Header: and another one\r\n".repeat(500));
  },
  "a body without end": ({ write, received, lines }) => {
    write(headOf(lines));
    flood(received, "x".repeat(65_536));
  },
  "one byte at a time": ({ received, random, ...right }) => drip(received, bytesOf(right), random),
  "a spoilt head": ({ write, random, lines, body }) => write(Buffer.concat([spoilt(headOf(lines), random), body])),
  "a spoilt body": ({ write, random, lines, body }) => write(Buffer.concat([headOf(lines), spoilt(body, random)])),
  "no HTTP": ({ write }) => write("220 smtp.example ESMTP\r\n\r\n"),
};

const refusals = [
  "HTTP/1.1 404 Not Found\r\nContent-Length: 38\r\n\r\n<Error><Code>NoSuchKey</Code> </Error>",
  "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n<Error>\r\n8;a=b\r\n</Error>\r\n0\r\n\r\n",
  "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n",
  "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
];

function later(random: Chance, act: () => void): void {
  setTimeout(act, random(12));
}

const cut = (bytes: Buffer, random: Chance): Buffer => bytes.subarray(0, random(bytes.length));

function withBody(lines: readonly string[], body: Buffer): Right {
  return {
    lines: lines.map((line) => (line.startsWith("Content-Length") ? `Content-Length: ${body.length}` : line)),
    body,
  };
}

function coded(lines: readonly string[]): string[] {
  return lines.map((line) => (line.startsWith("Content-Length") ? "Transfer-Encoding: chunked" : line));
}

function chunks(body: Buffer, random: Chance): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const size = Math.min(1 + random(20_000), body.length - at);
    parts.push(Buffer.from(`${size.toString(16)}\r\n`), body.subarray(at, at + size), Buffer.from("\r\n"));
    at += size;
  }
  return parts;
}

/** Pieces that arrive apart, cut anywhere, mostly in and around the head. */
function inPieces(bytes: Buffer, random: Chance, { socket }: Received): void {
  const cuts = [
    random(bytes.length + 1),
    random(Math.min(bytes.length, 300) + 1),
    random(Math.min(bytes.length, 300) + 1),
  ];
  const places = [0, ...cuts.sort((a, b) => a - b), bytes.length];
  const next = (i: number): void => {
    const [from, to] = [places[i], places[i + 1]];
    if (from === undefined || to === undefined || socket.destroyed) return;
    socket.write(bytes.subarray(from, to));
    setTimeout(() => next(i + 1), 1 + random(4));
  };
  next(0);
}

function drip({ socket }: Received, bytes: Buffer, random: Chance): void {
  const until = Math.min(bytes.length, 20 + random(300));
  let at = 0;
  const timer = setInterval(() => {
    if (socket.destroyed || at === until) {
      clearInterval(timer);
      if (!socket.destroyed) socket.write(bytes.subarray(until));
      return;
    }
    socket.write(bytes.subarray(at, ++at));
  }, 1);
}

/** As long as anybody reads, 16 MiB at most. */
function flood({ socket }: Received, text: string): void {
  let left = (16 * 2 ** 20) / text.length;
  const more = (): void => {
    while (!socket.destroyed && left-- > 0) if (!socket.write(text)) return void socket.once("drain", more);
  };
  more();
}

const spoilers = [
  "",
  "\0",
  "\n",
  "\r",
  "\r\n",
  "\r\n\r\n",
  ":",
  " ",
  ",",
  "0",
  "9",
  "\xff",
  "HTTP/1.1 200 OK\r\n",
  "Content-Length: 5\r\n",
];

function spoilt(bytes: Buffer, random: Chance): Buffer {
  let spoiled = bytes;
  for (let i = 0; i <= random(3); i++) {
    const at = random(Math.min(spoiled.length, 400) + 1);
    const text = Buffer.from(spoilers[random(spoilers.length)] ?? "", "latin1");
    spoiled = Buffer.concat([spoiled.subarray(0, at), text, spoiled.subarray(at + random(3))]);
  }
  return spoiled;
}

export interface HostileServer extends RawServer {
  /** From now on answers are right, and each waits until so many requests are there together. */
  reform(together: number): void;
  /** How often each way was taken. */
  readonly taken: ReadonlyMap<string, number>;
}

/** Answers `/…/<id>` in a way that chance decides. */
export async function hostileServer(scheme: "http" | "https", seed: number): Promise<HostileServer> {
  const random = chance(seed);
  const names = Object.keys(ways);
  const taken = new Map<string, number>();
  let together = 0;
  let waiting: (() => void)[] = [];
  const respond = (received: Received): void => {
    const { head, socket } = received;
    const id = Number(/^\w+ \S*\/(\d+)[? ]/.exec(head)?.[1] ?? 0);
    const range = /^range: *(.*)$/im.exec(head)?.[1];
    const write = (bytes: Buffer | string): void => {
      if (!socket.destroyed) socket.write(bytes, "latin1");
    };
    const right = rightAnswer(id, range);
    if (together > 0) {
      waiting.push(() => write(bytesOf(right)));
      if (waiting.length < together) return;
      for (const answer of waiting) answer();
      waiting = [];
      return;
    }
    const name = random(2) === 0 ? "right" : (names[random(names.length)] ?? "right");
    taken.set(name, (taken.get(name) ?? 0) + 1);
    ways[name]?.({ ...right, id, range, random, received, write });
  };
  const greet = ({ socket, reset }: Pick<Received, "socket" | "reset">): void => {
    if (together > 0) return;
    const mood = random(40);
    if (mood === 0) socket.end();
    else if (mood === 1) reset();
    else if (mood === 2) socket.write(bytesOf(rightAnswer(random(100), undefined)));
  };
  const server = await rawServer(respond, scheme, undefined, greet);
  return Object.assign(Object.create(server), { taken, reform: (count: number) => (together = count) });
}
