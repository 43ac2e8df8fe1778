import { readFileSync } from "node:fs";

/** Bit numbers of capabilities(7). */
const capabilityBits = { CAP_DAC_OVERRIDE: 1n } as const;

/** As whom the kernel checks our calls on files. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
  /** Whether permission bits of files and directories do not bind us. */
  readonly overridesPermissions: boolean;
}

/** The file-system identity of this process, from /proc/self/status. */
export function readIdentity(): Identity {
  // procfs answers from memory: this never waits for a disk.
  return parseIdentity(readFileSync("/proc/self/status", "latin1"));
}

/** Parses the text of /proc/PID/status (proc(5)). */
export function parseIdentity(status: string): Identity {
  const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(status)?.[1]?.trim() ?? "";
  // Real, effective, saved, file system.
  const fileSystemId = (name: string) => Number(field(name).split(/\s+/)[3] ?? Number.NaN);
  const capabilities = BigInt(`0x${field("CapEff") || "0"}`);
  return {
    uid: fileSystemId("Uid"),
    gid: fileSystemId("Gid"),
    overridesPermissions: ((capabilities >> capabilityBits.CAP_DAC_OVERRIDE) & 1n) === 1n,
  };
}
