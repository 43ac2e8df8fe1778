import { closeSync, constants, fsyncSync, unlinkSync, writeSync } from "node:fs";
import type { FileTarget } from "../types.ts";
import { type Attributes, dressFile } from "./attributes.ts";
import { bytesTaken, volumeError } from "./errors.ts";
import type { Placement } from "./placement.ts";
import { dressFilePooled, pooled } from "./pooled.ts";

export interface FileSettings {
  readonly attributes: Attributes;
  /** Whether a file gets its modification time before it is closed. */
  readonly setsTimes: boolean;
  /** Whether a file is on stable storage before it is closed. */
  readonly fsyncFiles: boolean;
}

/** Makes a complete file in one go; when it throws (CopyError), nothing of it is left. */
export function writeWholeNow(
  placement: Placement,
  settings: FileSettings,
  target: FileTarget,
  bytes: Uint8Array,
): void {
  const file = placement.create(target, constants.O_WRONLY, settings.attributes.fileMode);
  let open = true;
  try {
    for (let done = 0; done < bytes.length; ) {
      done += bytesTaken(writeSync(file.descriptor, bytes, done, bytes.length - done, done));
    }
    const lacks = placement.lacksIn(file.directory, file.descriptor);
    dressFile(file.descriptor, settings.attributes, lacks, settings.setsTimes ? target.modifiedMs : undefined);
    if (settings.fsyncFiles) fsyncSync(file.descriptor);
    open = false;
    // Network filesystems report a late write error here.
    closeSync(file.descriptor);
  } catch (error) {
    discard(file.name, open ? file.descriptor : undefined);
    throw volumeError(error, "write", placement.absolute(target));
  }
}

/** Does what `writeWholeNow` does, in the thread pool; the bytes are in use until the promise settles. */
export async function writeWholePooled(
  placement: Placement,
  settings: FileSettings,
  target: FileTarget,
  bytes: Uint8Array,
): Promise<void> {
  const { attributes, setsTimes, fsyncFiles } = settings;
  const file = await placement.createPooled(target, constants.O_WRONLY, attributes.fileMode);
  const { descriptor } = file;
  let open = true;
  try {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await pooled.write(descriptor, bytes, done, bytes.length - done, done);
      done += bytesTaken(bytesWritten);
    }
    const lacks = placement.lacksIn(file.directory, descriptor);
    await dressFilePooled(descriptor, attributes, lacks, setsTimes ? target.modifiedMs : undefined);
    if (fsyncFiles) await pooled.fsync(descriptor);
    open = false;
    await pooled.close(descriptor);
  } catch (error) {
    discard(file.name, open ? descriptor : undefined);
    throw volumeError(error, "write", placement.absolute(target));
  } finally {
    placement.release(file);
  }
}

/** Best effort: the failure that brought us here is the one to report. */
function discard(name: string, descriptor: number | undefined): void {
  try {
    unlinkSync(name);
  } catch {}
  try {
    if (descriptor !== undefined) closeSync(descriptor);
  } catch {}
}
