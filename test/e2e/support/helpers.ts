import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Whether a program can be started with other helper programs than this machine has. */
export async function canChangeHelpers(): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  return run("unshare", ["--mount", "true"]).then(
    () => true,
    () => false,
  );
}

/** What a skipped test says. */
export const cannotChangeHelpers = "needs the right to mount over helper programs";

/** Starts a program for which the helpers in `directory` come before the usual ones. */
export function withHelpers(directory: string): string[] {
  return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /usr/local/sbin && exec "$@"', directory];
}

/** Starts a program that finds neither coreutils' `sync` nor `flock` and `fallocate` of util-linux. */
export function withoutHelpers(): string[] {
  const hide = `
    for name in sync flock fallocate; do
      for path in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin; do
        if [ -e $path/$name ]; then mount --bind /dev/null $path/$name || exit 1; fi
      done
    done
    exec "$@"`;
  return ["unshare", "--mount", "sh", "-c", hide, "sh"];
}
