import { constants } from "node:fs";
import { open, unlink } from "node:fs/promises";
import { replaceFile } from "./atomic-file.ts";
import { existingState } from "./checkpoint-file.ts";

const name = "progress";
const longestText = 16;

/** Keeps a percentage in the state directory, if there is one, without a sync: losing it harms nobody. Throws CopyError. */
export async function saveShownProgress(root: string, percent: number): Promise<void> {
  await using state = await existingState(root);
  if (state === undefined) return;
  await replaceFile(state, name, `${percent}\n`, { durable: false });
}

/** The percentage that was kept; 0 where there is none to be read, whatever else is there. */
export async function loadShownProgress(root: string): Promise<number> {
  try {
    await using state = await existingState(root);
    if (state === undefined) return 0;
    // Not to follow a symlink or hang on a FIFO that someone put there.
    await using file = await open(state.child(name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(longestText), 0, longestText, 0);
    const text = buffer.toString("latin1", 0, bytesRead);
    return /^\d{1,2}(?:\.\d{1,2})?\n$/.test(text) ? Number(text) : 0;
  } catch {
    return 0;
  }
}

/** Removes what was kept, if it can be. */
export async function dropShownProgress(root: string): Promise<void> {
  try {
    await using state = await existingState(root);
    if (state !== undefined) await unlink(state.child(name));
  } catch {
    // Not there, or it stays: nothing is decided by it.
  }
}
