import { lstatSync, lutimesSync, renameSync } from "node:fs";
import { CopyError } from "../errors.ts";
import type { FileTarget } from "../types.ts";
import { describeKind, nameError } from "./errors.ts";
import { splitPath } from "./path.ts";
import type { Placement } from "./placement.ts";

export interface PublishOptions {
  readonly placement: Placement;
  /** Whether files get their modification time with their name. */
  readonly setsTimes: boolean;
  /** Whether a file that stands at the name is replaced. */
  readonly replaces: boolean;
  readonly madeHere: (ctimeMs: number) => boolean;
  readonly onChange: (path: string) => void;
}

/** Gives a staged file its modification time and final name. Throws CopyError `occupied` or `unsupported` if the name cannot be taken. */
export function publishFile(options: PublishOptions, target: FileTarget): void {
  const { placement } = options;
  try {
    const place = placement.placeOf(target);
    const final = place.directory.prefix + splitPath(target.path)[1];
    const seconds = target.modifiedMs / 1000;
    if (options.setsTimes) lutimesSync(place.name, seconds, seconds);
    const existing = lstatSync(final, { throwIfNoEntry: false });
    const isInTheWay = existing !== undefined && (!options.replaces || options.madeHere(existing.ctimeMs));
    if (isInTheWay) throw placement.collision(target, existing);
    if (existing !== undefined && !existing.isFile()) {
      throw new CopyError(
        "occupied",
        `${describeKind(existing)} is at ${placement.absolute(target)}; it is not replaced`,
      );
    }
    renameSync(place.name, final);
    options.onChange(place.directory.path);
  } catch (error) {
    throw nameError(error, "publish", placement.absolute(target));
  }
}
