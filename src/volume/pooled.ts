import fs from "node:fs";
import { promisify } from "node:util";
import { type Attributes, clearsBits, type Lacks } from "./attributes.ts";

/** Calls on raw descriptors that run in the thread pool. */
export const pooled = {
  open: promisify(fs.open),
  write: promisify(fs.write),
  read: promisify(fs.read),
  ftruncate: promisify(fs.ftruncate),
  fsync: promisify(fs.fsync),
  fdatasync: promisify(fs.fdatasync),
  close: promisify(fs.close),
} as const;

const fchmod = promisify(fs.fchmod);
const fchown = promisify(fs.fchown);
const futimes = promisify(fs.futimes);

/** `dressFile` in the thread pool. */
export async function dressFilePooled(
  descriptor: number,
  attributes: Attributes,
  lacks: Lacks,
  modifiedMs: number | undefined,
): Promise<void> {
  if (lacks.mode) await fchmod(descriptor, attributes.fileMode);
  if (modifiedMs !== undefined) await futimes(descriptor, modifiedMs / 1000, modifiedMs / 1000);
  if (!lacks.owner) return;
  await fchown(descriptor, attributes.uid ?? -1, attributes.gid ?? -1);
  if (clearsBits(attributes)) await fchmod(descriptor, attributes.fileMode);
}
