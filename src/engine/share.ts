import { hash } from "node:crypto";
import type { Shard } from "../types.ts";

/** Hexadecimal digits of the digest that count: 48 bits, which a number holds exactly. */
const digits = 12;

/**
 * Which of `count` shards an object belongs to: the first 48 bits of the SHA-256 of its key in UTF-8, modulo `count`.
 * Never to be changed: shards of one copy may run different versions of this program.
 */
export function shardOf(key: string, count: number): number {
  return Number.parseInt(hash("sha256", key, "hex").slice(0, digits), 16) % count;
}

/** Whether an object is for this process to copy; without shards all are. */
export function createShare(shard: Shard | undefined): (key: string) => boolean {
  if (!shard || shard.count === 1) return () => true;
  const { index, count } = shard;
  return (key) => shardOf(key, count) === index;
}
