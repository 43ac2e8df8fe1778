/** The chunked transfer coding (RFC 9112, section 7.1), strictly: it carries listings and errors, never object data. */
import { HeadError } from "./response-head.ts";

const maxLineBytes = 4096;
const maxTrailerBytes = 16 * 1024;
const cr = 0x0d;
const lf = 0x0a;
const chunkLine = /^([0-9A-Fa-f]{1,12})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/;
const trailerLine = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*$/;

export class ChunkedDecoder {
  #state: "size" | "data" | "afterData" | "trailer" | "end" = "size";
  /** Bytes of the present chunk still to come. */
  #chunkBytes = 0;
  #trailerBytes = 0;

  /** Whether the last chunk and the trailer are through. */
  get ended(): boolean {
    return this.#state === "end";
  }

  /** Data bytes that may be taken now before `framing` is called again. */
  get dataBytes(): number {
    return this.#state === "data" ? this.#chunkBytes : 0;
  }

  /** `bytes` of the data have been taken. */
  take(bytes: number): void {
    this.#chunkBytes -= bytes;
    if (this.#chunkBytes === 0) this.#state = "afterData";
  }

  /** Reads lines between data from `bytes` at [from, to) and returns where it stopped: at data, the end or half a line. Throws HeadError. */
  framing(bytes: Buffer, from: number, to: number): number {
    let at = from;
    while (this.#state !== "data" && this.#state !== "end") {
      const end = bytes.subarray(at, to).indexOf(lf);
      if ((end < 0 ? to - at : end) > maxLineBytes) throw new HeadError("line between chunks is too long");
      if (end < 0) return at;
      if (end === 0 || bytes[at + end - 1] !== cr) throw new HeadError("line between chunks does not end in CR LF");
      this.#line(bytes.toString("latin1", at, at + end - 1));
      at += end + 1;
    }
    return at;
  }

  #line(line: string): void {
    if (this.#state === "afterData") {
      if (line !== "") throw new HeadError("chunk is longer than it said");
      this.#state = "size";
    } else if (this.#state === "size") {
      const size = chunkLine.exec(line)?.[1];
      if (size === undefined) throw new HeadError("chunk without a size");
      this.#chunkBytes = Number.parseInt(size, 16);
      this.#state = this.#chunkBytes === 0 ? "trailer" : "data";
    } else if (line === "") {
      this.#state = "end";
    } else {
      this.#trailerBytes += line.length + 2;
      if (this.#trailerBytes > maxTrailerBytes || !trailerLine.test(line)) throw new HeadError("broken trailer");
    }
  }
}
