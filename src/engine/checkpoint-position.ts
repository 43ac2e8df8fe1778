import { compareKeys } from "./key-order.ts";

/** Where an entry stands in the order in which entries come: its key, or the number of its line in a list of keys. */
export type Position = string | number;

/** Negative, zero or positive: keys by their UTF-8 bytes, lines by number. Throws TypeError when the two are mixed. */
export function comparePositions(a: Position, b: Position): number {
  if (typeof a === "string" && typeof b === "string") return compareKeys(a, b);
  if (typeof a === "number" && typeof b === "number") return a - b;
  throw new TypeError("a key and a line number have no order");
}
