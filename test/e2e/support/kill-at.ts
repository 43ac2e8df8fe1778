/**
 * Preloaded into the program under test: its process gets SIGKILL in place of the n-th change that the main thread makes
 * to a filesystem, n being KILL_AT.
 */
import { constants } from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { isMainThread } from "node:worker_threads";

const killAt = Number(process.env.KILL_AT);
let changes = 0;

function beforeChange(): void {
  changes++;
  if (changes === killAt) process.kill(process.pid, "SIGKILL");
}

type Call = (...args: unknown[]) => unknown;

/** Replaces methods by ones that count first, unless `isChange` says that a call changes nothing. */
function watch(owner: object, names: readonly string[], isChange: (args: readonly unknown[]) => boolean = () => true) {
  for (const name of names) {
    const original = Reflect.get(owner, name) as Call; // a method of Node's, by its name
    Reflect.set(owner, name, function (this: unknown, ...args: unknown[]) {
      if (isChange(args)) beforeChange();
      return original.apply(this, args);
    });
  }
}

function opensForChange([, flags]: readonly unknown[]): boolean {
  return typeof flags === "number" ? (flags & constants.O_CREAT) !== 0 : flags !== undefined && flags !== "r";
}

if (isMainThread) {
  const handle = await promises.open("/dev/null");
  watch(Object.getPrototypeOf(handle), ["sync", "write", "writeFile", "truncate", "chmod", "chown", "utimes"]);
  await handle.close();
  watch(promises, ["mkdir", "rename", "rm", "rmdir", "unlink", "writeFile"]);
  watch(promises, ["open"], opensForChange);
  syncBuiltinESMExports();
}
