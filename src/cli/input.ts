import { createReadStream, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";

/** Content of a file, or of standard input for `-`. */
export function readText(source: string): Promise<string> {
  return text(open(source));
}

/**
 * Lines of a file, or of standard input for `-`, without a byte order mark; a CR before the line's end belongs to the end.
 * `signal` gives up the input, which would keep the process alive as long as somebody may still write to it.
 */
export async function* readLines(source: string, signal: AbortSignal): AsyncGenerator<string> {
  const input = open(source);
  signal.addEventListener("abort", () => input.destroy(signal.reason), { once: true });
  // readline would wait for ever on a stream that fails to open.
  const failed = new Promise<never>((_, reject) => input.once("error", reject));
  failed.catch(() => {});
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
  for (let number = 0; ; number++) {
    const next = await Promise.race([lines.next(), failed]);
    if (next.done) return;
    yield number === 0 ? next.value.replace(/^\uFEFF/, "") : next.value;
  }
}

export function readFileOrUndefined(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // a cgroup file that is not there says that there is no such limit
  }
}

function open(source: string) {
  return source === "-" ? process.stdin : createReadStream(source);
}
