import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";

/** What the helper programs see: where they usually are, and messages in English. */
const environment = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };
const maxComplaintChars = 4096;

export interface HelperResult {
  /** Undefined when the program could not be started or died of a signal. */
  readonly exitCode: number | undefined;
  /** What it wrote on standard error, or why it did not start. */
  readonly complaint: string;
}

/**
 * Runs a small program to its end; never rejects. It has a process group of its own, so that a Ctrl-C meant for us does
 * not end it. `descriptor`, if given, is its descriptor 3.
 */
export function runHelper(program: string, args: readonly string[], descriptor?: number): Promise<HelperResult> {
  return new Promise((resolve) => {
    const options: SpawnOptions = {
      stdio: ["ignore", "ignore", "pipe", ...(descriptor === undefined ? [] : [descriptor])],
      env: environment,
      detached: true,
    };
    const child = started(program, args, options);
    if (child instanceof Error) return resolve({ exitCode: undefined, complaint: child.message });
    let complaint = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      complaint = (complaint + text).slice(0, maxComplaintChars);
    });
    child.on("error", (error) => resolve({ exitCode: undefined, complaint: error.message }));
    child.on("close", (exitCode) => resolve({ exitCode: exitCode ?? undefined, complaint: complaint.trim() }));
  });
}

/** Node tells of some failed starts by an event, and throws others, such as a lack of memory. */
function started(program: string, args: readonly string[], options: SpawnOptions): ChildProcess | Error {
  try {
    return spawn(program, args, options);
  } catch (error) {
    if (error instanceof Error && "syscall" in error) return error;
    throw error;
  }
}
