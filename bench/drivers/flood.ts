/**
 * How fast the server answers a client that only counts bytes: pipelined GETs of each path on each of some connections.
 * `node flood.ts PORT CONNECTIONS PATHS_FILE`; prints JSON.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";

const [port, connections, pathsFile] = process.argv.slice(2);
const paths = readFileSync(pathsFile ?? "", "utf8").split("\n");
const count = Math.min(Number(connections), paths.length);
const memory = Buffer.allocUnsafe(1024 * 1024);

async function flood(mine: readonly string[]): Promise<number> {
  let bytes = 0;
  const socket = connect({
    ...{ port: Number(port), host: "127.0.0.1" },
    onread: {
      buffer: memory,
      callback: (length) => {
        bytes += length;
        return true;
      },
    },
  });
  const requests = mine.map((path, index) => {
    const last = index === mine.length - 1 ? "Connection: close\r\n" : "";
    return `GET ${path} HTTP/1.1\r\nHost: flood\r\n${last}\r\n`;
  });
  socket.write(requests.join(""));
  await once(socket, "close");
  return bytes;
}

const started = process.hrtime.bigint();
const shares = Array.from({ length: count }, (_, n) => paths.filter((_path, index) => index % count === n));
const received = await Promise.all(shares.map(flood));
const seconds = Number(process.hrtime.bigint() - started) / 1e9;
const { user, system } = process.cpuUsage();
const bytes = received.reduce((sum, part) => sum + part, 0);
console.log(JSON.stringify({ seconds, cpuSeconds: (user + system) / 1e6, bytes, objects: paths.length }));
