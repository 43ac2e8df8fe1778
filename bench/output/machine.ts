import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";

/** What the numbers were measured on; nothing that names the machine. */
export function machineFacts(target: string): Record<string, string | number> {
  return {
    date: new Date().toISOString().slice(0, 10),
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    filesystem: execFileSync("stat", ["-f", "-c", "%T", target], { encoding: "utf8" }).trim(),
    node: process.version,
    loadBefore: Number(readFileSync("/proc/loadavg", "utf8").split(" ")[0]),
  };
}
