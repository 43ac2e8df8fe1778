import { hash } from "node:crypto";
import type { ObjectEntry } from "../types.ts";
import { comparePositions, type Position } from "./checkpoint-position.ts";

const blockEntries = 1024;
/** Far more than the 10,000 entries that planning runs ahead make, unless most entries are skipped. */
const mostStates = 64;

/** A digest at the end of a block: the entries that follow `startAfter` are to be added to go on. */
export interface DigestState {
  /** 64 hexadecimal digits; empty before the first block. */
  readonly chain: string;
  /** Position of the last entry before; undefined before the first. */
  readonly startAfter: Position | undefined;
}

const beginning: DigestState = { chain: "", startAfter: undefined };

/**
 * SHA-256 over keys, sizes and ETags in key order, as a chain over blocks of 1,024 entries, so that its state is small
 * and the same source gives the same digest however it was paged and however often it was resumed.
 */
export class SourceDigest {
  #chain = "";
  #block = "";
  #blockEntries = 0;
  /** Ascending; the first is the newest that the last frontier allowed. */
  #states: DigestState[] = [beginning];

  /** Goes on where `stateAt` was: the next entry to add is the first after `startAfter`. */
  static resume(state: DigestState): SourceDigest {
    const digest = new SourceDigest();
    digest.#chain = state.chain;
    digest.#states = [state];
    return digest;
  }

  add(entry: ObjectEntry, position: Position = entry.key): void {
    this.#block += `${entry.key}\0${entry.sizeBytes}\0${entry.etag}\n`;
    if (++this.#blockEntries < blockEntries) return;
    this.#close();
    this.#states.push({ chain: this.#chain, startAfter: position });
    if (this.#states.length > mostStates) this.#thin();
  }

  /**
   * The newest state kept that is not beyond `frontier`. Older ones are forgotten: frontiers never go back.
   */
  stateAt(frontier: Position | undefined): DigestState {
    let newest = 0;
    for (const [index, { startAfter }] of this.#states.entries()) {
      if (startAfter === undefined) continue;
      if (frontier === undefined || comparePositions(startAfter, frontier) > 0) break;
      newest = index;
    }
    this.#states.splice(0, newest);
    return this.#states[0] ?? beginning;
  }

  /** Hexadecimal digest of everything added. */
  finish(): string {
    this.#close();
    return this.#chain;
  }

  /** Keeps the first, the last and every other one: the further ahead, the more entries are listed again. */
  #thin(): void {
    const last = this.#states.length - 1;
    this.#states = this.#states.filter((_, index) => index % 2 === 0 || index === last);
  }

  #close(): void {
    this.#chain = hash("sha256", this.#chain + this.#block, "hex");
    this.#block = "";
    this.#blockEntries = 0;
  }
}
