import { type Command, measure } from "../measure.ts";
import { besideThis } from "../peers/peer.ts";
import type { Contender } from "../rounds.ts";

/**
 * One of the programs of this folder as a contender. Its own clock counts: that leaves out the start of the program.
 * `change` is applied to its command.
 */
export function driver(
  name: string,
  workPath: string,
  [script = "", ...args]: readonly string[],
  change: (command: Command) => Command | Promise<Command> = (command) => command,
): Contender {
  const path = besideThis(`../drivers/${script}`);
  return {
    name,
    async run() {
      const command = await change({ program: process.execPath, args: [path, ...args] });
      const measured = await measure(command, workPath);
      const { seconds, cpuSeconds } = JSON.parse(measured.output) as { seconds: number; cpuSeconds: number }; // Our drivers print it.
      return { ...measured, wallSeconds: seconds, cpuSeconds };
    },
  };
}
