import { spawn } from "node:child_process";
import { openSync } from "node:fs";
import { CopyError } from "../../src/errors.ts";
import { lockTarget } from "../../src/volume/lock.ts";

/** Locks a target for `lock.test.ts`, says in one line of JSON how that went, and holds the lock until it is killed. */
const [root = "", waitMs = "0", helper] = process.argv.slice(2);
const waits: string[] = [];
try {
  const options = { waitMs: Number(waitMs), onWait: (sentence: string) => waits.push(sentence) };
  const { held, warning } = await lockTarget(root, options, new AbortController().signal);
  let helperPid: number | undefined;
  if (helper) {
    // Like the helpers of a run: a group of its own, and a descriptor of the target.
    const stdio = ["ignore", "ignore", "ignore", openSync(root, "r")] as const;
    helperPid = spawn("sleep", ["60"], { stdio: [...stdio], detached: true }).pid;
  }
  console.log(JSON.stringify({ held, warning, waits, helperPid }));
  setInterval(() => {}, 60_000);
} catch (error) {
  if (!(error instanceof CopyError)) throw error;
  console.log(JSON.stringify({ kind: error.kind, message: error.message, waits }));
}
