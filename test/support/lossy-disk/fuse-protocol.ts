/** The part of the kernel's FUSE protocol (version 7.31) that a file system of one regular file needs. */

export const opcodes = {
  forget: 2,
  getattr: 3,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  flush: 25,
  init: 26,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
} as const;

export const EIO = 5;
export const ENOSYS = 38;

/** Largest write that the kernel may send. */
export const maxWriteBytes = 1_048_576;
/** Room for a write with its headers; the kernel refuses to fill less. */
export const requestBytes = maxWriteBytes + 4096;

const headerBytes = 40;
const replyHeaderBytes = 16;
const asyncRead = 1 << 0;
const bigWrites = 1 << 5;
const maxPagesGiven = 1 << 22;
const directIo = 1;
const pageBytes = 4096;
const regularFile = 0o100_644;

export interface FuseRequest {
  readonly opcode: number;
  readonly unique: bigint;
  readonly body: Buffer;
}

/** One message as it was read from `/dev/fuse`; its body is a view of `message`. */
export function parseRequest(message: Buffer): FuseRequest {
  return {
    opcode: message.readUInt32LE(4),
    unique: message.readBigUInt64LE(8),
    body: message.subarray(headerBytes, message.readUInt32LE(0)),
  };
}

export interface Transfer {
  readonly offset: number;
  readonly length: number;
}

/** Place and length of a read or write, the data of which begins at byte 40 of the body. */
export function transferOf(body: Buffer): Transfer {
  return { offset: Number(body.readBigUInt64LE(8)), length: body.readUInt32LE(16) };
}

export function dataOf(body: Buffer, { length }: Transfer): Buffer {
  return body.subarray(40, 40 + length);
}

/** A reply: data, or an errno. */
export function reply(unique: bigint, result: Buffer | number): Buffer {
  const data = typeof result === "number" ? Buffer.alloc(0) : result;
  const header = Buffer.alloc(replyHeaderBytes);
  header.writeUInt32LE(replyHeaderBytes + data.length, 0);
  header.writeInt32LE(typeof result === "number" ? -result : 0, 4);
  header.writeBigUInt64LE(unique, 8);
  return Buffer.concat([header, data]);
}

export function initReply(body: Buffer): Buffer {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(7, 0);
  data.writeUInt32LE(31, 4);
  data.writeUInt32LE(body.readUInt32LE(8), 8);
  data.writeUInt32LE(asyncRead | bigWrites | maxPagesGiven, 12);
  data.writeUInt16LE(16, 16);
  data.writeUInt16LE(12, 18);
  data.writeUInt32LE(maxWriteBytes, 20);
  data.writeUInt32LE(1, 24);
  data.writeUInt16LE(maxWriteBytes / pageBytes, 28);
  return data;
}

/** Attributes of the one file, which never change. */
export function attributesReply(sizeBytes: number): Buffer {
  const data = Buffer.alloc(104);
  data.writeBigUInt64LE(3600n, 0);
  const attributes = data.subarray(16);
  attributes.writeBigUInt64LE(1n, 0);
  attributes.writeBigUInt64LE(BigInt(sizeBytes), 8);
  attributes.writeBigUInt64LE(BigInt(Math.ceil(sizeBytes / 512)), 16);
  attributes.writeUInt32LE(regularFile, 60);
  attributes.writeUInt32LE(1, 64);
  attributes.writeUInt32LE(pageBytes, 80);
  return data;
}

/** Nothing of the file is kept in the page cache: every write of the block layer arrives, in its order. */
export function openReply(): Buffer {
  const data = Buffer.alloc(16);
  data.writeUInt32LE(directIo, 8);
  return data;
}

export function writeReply(bytes: number): Buffer {
  const data = Buffer.alloc(8);
  data.writeUInt32LE(bytes, 0);
  return data;
}
