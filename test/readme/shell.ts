import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, chmod, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

/** A command as the shell would have started it. */
export interface Call {
  readonly name: string;
  readonly args: readonly string[];
  readonly input: string;
  readonly env: Readonly<Record<string, string>>;
}

const recorder = fileURLToPath(new URL("./record-call.ts", import.meta.url));
const realCommands = ["/bin/sh", "/bin/mktemp", "/bin/mkdir", "/bin/cat"];

/** Runs a block of the README in a shell that knows `commands`, by name, as scripts, and next to nothing else. */
export async function runBlock(
  block: string,
  directory: string,
  commands: Readonly<Record<string, string>>,
): Promise<{ readonly code: number | null; readonly stderr: string }> {
  const bin = join(directory, "bin");
  await mkdir(bin, { recursive: true });
  for (const command of realCommands) await symlink(command, join(bin, command.slice("/bin/".length))).catch(() => {});
  for (const [name, script] of Object.entries(commands)) {
    await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(bin, name), 0o755);
  }
  const child = spawn("/bin/bash", ["-euc", block], {
    cwd: directory,
    env: { PATH: bin, HOME: directory, TMPDIR: directory },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const stderr = text(child.stderr);
  const [code] = await once(child, "close");
  return { code, stderr: await stderr };
}

/** The commands that a block would start; fails on one that is not among `names`. */
export async function recordCalls(block: string, directory: string, names: readonly string[]): Promise<Call[]> {
  const calls = join(directory, "calls");
  const script = (name: string) => `exec "${process.execPath}" "${recorder}" "${calls}" ${name} "$@"`;
  const commands = Object.fromEntries(names.map((name) => [name, script(name)]));
  const { code, stderr } = await runBlock(block, directory, commands);
  if (code !== 0) throw new Error(`the shell ended with ${code}: ${stderr}\n${block}`);
  const recorded = await access(calls).then(
    () => readFile(calls, "utf8"),
    () => "",
  );
  // record-call.ts writes a call a line.
  return recorded.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Call]));
}
