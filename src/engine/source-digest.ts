import { createHash } from "node:crypto";
import type { ObjectEntry } from "../types.ts";

const blockEntries = 1024;

/**
 * SHA-256 over keys, sizes and ETags in key order, as a chain over blocks of 1,024 entries, so that its state is 32
 * bytes and the same source gives the same digest however it was paged.
 */
export class SourceDigest {
  #chain = "";
  #block: string[] = [];

  add(entry: ObjectEntry): void {
    this.#block.push(`${entry.key}\0${entry.sizeBytes}\0${entry.etag}\n`);
    if (this.#block.length === blockEntries) this.#close();
  }

  /** Hexadecimal digest of everything added. */
  finish(): string {
    this.#close();
    return this.#chain;
  }

  #close(): void {
    this.#chain = createHash("sha256").update(this.#chain).update(this.#block.join("")).digest("hex");
    this.#block = [];
  }
}
