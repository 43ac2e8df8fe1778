import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { joinSockets } from "./join-sockets.ts";

const run = promisify(execFile);

/** Two hosts with a cable between them: the program runs on one, a way to the emulator on the other. */
export interface Network extends AsyncDisposable {
  /** Starts a program on the client. */
  readonly wrapper: readonly string[];
  readonly url: string;
  /** From now on everything that the client sends is lost without a word, or arrives again. */
  drop(lost: boolean): Promise<void>;
  /** Whether the kernel could delay and lose packets. */
  impair(delayMs: number, lossPercent: number): Promise<boolean>;
}

const clientAddress = "10.83.0.1";
const serverAddress = "10.83.0.2";
const nowhere = "02:00:00:00:00:99";
const serverMac = "02:00:00:00:00:02";

/** Takes connections on the other host and passes them on through a socket in the filesystem, which knows no hosts. */
const relay = `
const net = require("node:net");
const server = net.createServer((near) => {
  const far = net.connect(process.argv[1]);
  for (const [one, other] of [[near, far], [far, near]]) {
    one.on("error", () => one.destroy());
    one.on("close", () => other.destroy());
    one.pipe(other);
  }
}).listen(9000, "${serverAddress}", () => console.log("ready"));
`;

let made = 0;

/** Undefined where hosts cannot be made. */
export async function makeNetwork(directory: string, toPort: number): Promise<Network | undefined> {
  const number = ++made;
  const names = ["client", "server"].map((name) => `oss-populator-${name}-${process.pid}-${number}`);
  const [client = "", server = ""] = names;
  const inNamespace = (name: string, ...command: string[]) => run("ip", ["netns", "exec", name, ...command]);
  const remove = async (): Promise<void> => {
    for (const name of names) await run("ip", ["netns", "delete", name]).catch(() => {});
  };
  try {
    for (const name of names) await run("ip", ["netns", "add", name]);
    await run("ip", [
      "-n",
      client,
      "link",
      "add",
      "cable",
      "type",
      "veth",
      "peer",
      "name",
      "cable",
      "address",
      serverMac,
      "netns",
      server,
    ]);
    for (const [name, address] of [
      [client, clientAddress],
      [server, serverAddress],
    ] as const) {
      await run("ip", ["-n", name, "address", "add", `${address}/24`, "dev", "cable"]);
      await run("ip", ["-n", name, "link", "set", "cable", "up"]);
      await run("ip", ["-n", name, "link", "set", "lo", "up"]);
    }
  } catch {
    await remove();
    return undefined;
  }
  const path = `${directory}/relay.sock`;
  const sockets = new Set<Socket>();
  const passage = createServer((near) => joinSockets(near, toPort, sockets)).listen(path);
  await once(passage, "listening");
  const relaying = spawn("ip", ["netns", "exec", server, process.execPath, "-e", relay, path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(createInterface(relaying.stdout), "line");
  return {
    wrapper: ["ip", "netns", "exec", client],
    url: `http://${serverAddress}:9000`,
    drop: async (lost) => {
      const mac = lost ? nowhere : serverMac;
      await run("ip", [
        "-n",
        client,
        "neighbour",
        "replace",
        serverAddress,
        "lladdr",
        mac,
        "dev",
        "cable",
        "nud",
        "permanent",
      ]);
    },
    impair: (delayMs, lossPercent) =>
      inNamespace(
        client,
        "tc",
        "qdisc",
        "replace",
        "dev",
        "cable",
        "root",
        "netem",
        "delay",
        `${delayMs}ms`,
        "loss",
        `${lossPercent}%`,
      ).then(
        () => true,
        () => false,
      ),
    [Symbol.asyncDispose]: async () => {
      relaying.kill("SIGKILL");
      passage.close();
      for (const socket of sockets) socket.destroy();
      await remove();
    },
  };
}
