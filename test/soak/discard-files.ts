/**
 * Preloaded into the program under test: its data threads lose the name of every file that they make, at once. Objects are
 * fetched, verified, written and closed as ever, and leave nothing behind.
 */
import fs, { constants } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { isMainThread } from "node:worker_threads";

function makes(flags: fs.OpenMode | undefined): boolean {
  return typeof flags === "number" && (flags & constants.O_CREAT) !== 0;
}

if (!isMainThread) {
  const { openSync, open, unlinkSync } = fs;
  fs.openSync = (path, flags, mode) => {
    const descriptor = openSync(path, flags, mode);
    if (makes(flags)) unlinkSync(path);
    return descriptor;
  };
  const forget = (path: fs.PathLike, flags: fs.OpenMode, mode: fs.Mode, done: (...ended: unknown[]) => void): void => {
    open(path, flags, mode, (error, descriptor) => {
      if (!error && makes(flags)) unlinkSync(path);
      done(error, descriptor);
    });
  };
  Reflect.set(fs, "open", forget);
  syncBuiltinESMExports();
}
