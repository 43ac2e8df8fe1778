import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { setTimeout } from "node:timers/promises";
import type { CliRun } from "./cli.ts";

const patienceMs = 60_000;

/** Looks every few milliseconds until it is so; rejects after a minute, or what is given. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  withinMs = patienceMs,
): Promise<void> {
  const giveUpAtMs = performance.now() + withinMs;
  while (!(await isSo())) {
    if (performance.now() > giveUpAtMs) throw new Error(`${what}: not in ${withinMs} ms`);
    await setTimeout(10);
  }
}

/** The only child of a process. */
export async function childOf(pid: number): Promise<number> {
  const read = () => readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  await until("a child", async () => /^\d+/.test(await read()));
  return Number.parseInt(await read(), 10);
}

/** The most memory that a run had resident, in bytes, as the kernel counted it until shortly before the end. */
export async function peakRssOf({ pid, child }: CliRun): Promise<number> {
  let peakKib = 0;
  while (child.exitCode === null && child.signalCode === null) {
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    peakKib = Math.max(peakKib, Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0));
    await setTimeout(20);
  }
  return peakKib * 1024;
}

/** How many names a directory has; 0 while it is not there. */
export async function countNames(directory: string): Promise<number> {
  return (await readdir(directory).catch(() => [])).length;
}

/** A port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  await new Promise<void>((closed) => server.close(() => closed()));
  if (typeof address !== "object" || address === null) throw new Error("no port to be had");
  return address.port;
}
