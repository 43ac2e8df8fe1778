/**
 * Bytes of bodies in each whole second since the first answer began, from the log of `ServeOptions.logFile`: exact in bytes,
 * and to about a millisecond in time, for the bytes of an answer are spread evenly over the time that it took.
 */
export function sentPerSecond(log: string): number[] {
  const answers = log.trim().split("\n").filter(Boolean).map(parse);
  const firstMs = Math.min(...answers.map(({ startMs }) => startMs));
  const lastMs = Math.max(...answers.map(({ endMs }) => endMs));
  const seconds = new Array<number>(Math.max(0, Math.floor((lastMs - firstMs) / 1000))).fill(0);
  for (const { startMs, endMs, bytes } of answers) {
    for (let second = Math.floor((startMs - firstMs) / 1000); second < seconds.length; second++) {
      const fromMs = firstMs + second * 1000;
      if (fromMs > endMs) break;
      const within = Math.min(endMs, fromMs + 1000) - Math.max(startMs, fromMs);
      seconds[second] = (seconds[second] ?? 0) + (bytes * within) / (endMs - startMs);
    }
  }
  return seconds;
}

/** What has been sent in all. */
export function sentInAll(log: string): number {
  return log.split("\n").reduce((sum, line) => sum + (line === "" ? 0 : parse(line).bytes), 0);
}

interface Answer {
  readonly startMs: number;
  readonly endMs: number;
  readonly bytes: number;
}

/** nginx's clock has whole milliseconds: what took less counts as one. */
function parse(line: string): Answer {
  const [end, took, bytes] = line.split(" ").map(Number);
  if (end === undefined || took === undefined || bytes === undefined || Number.isNaN(end + took + bytes)) {
    throw new Error(`not a line of the server's log: ${line}`);
  }
  const endMs = end * 1000;
  return { startMs: endMs - Math.max(1, took * 1000), endMs, bytes };
}
