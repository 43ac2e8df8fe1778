import { createSocket } from "node:dgram";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";

/** A name server of the test's own, for programs that are started through `wrapper`. */
export interface NameServer extends AsyncDisposable {
  readonly wrapper: readonly string[];
  /** `silent` answers nothing, `failing` answers that it cannot. */
  mood: "answers" | "silent" | "failing";
  readonly asked: number;
}

let started = 0;

/** Every name is 127.0.0.1. Undefined where that needs rights that we do not have. */
export async function startNameServer(directory: string): Promise<NameServer | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  // Each its own: several may run at a time.
  const address = `127.83.${process.pid % 250}.${++started}`;
  const socket = createSocket("udp4");
  const state = { mood: "answers" as NameServer["mood"], asked: 0 };
  socket.on("message", (query, from) => {
    state.asked++;
    if (state.mood === "silent") return;
    socket.send(answerTo(query, state.mood === "answers"), from.port, from.address);
  });
  socket.bind(53, address);
  try {
    await once(socket, "listening");
  } catch {
    return undefined; // somebody else has the port
  }
  const [resolver, names] = [`${directory}/resolv.conf`, `${directory}/nsswitch.conf`];
  await writeFile(resolver, `nameserver ${address}\noptions timeout:1 attempts:1\n`);
  await writeFile(names, "hosts: dns\n");
  const mounts = `mount --bind ${resolver} /etc/resolv.conf && { [ ! -e /etc/nsswitch.conf ] || mount --bind ${names} /etc/nsswitch.conf; }`;
  return Object.assign(state, {
    wrapper: ["unshare", "--mount", "sh", "-c", `${mounts} && exec "$@"`, "sh"],
    [Symbol.asyncDispose]: async () => {
      socket.close();
      await once(socket, "close");
    },
  });
}

/** RFC 1035: the query with its header turned into an answer's, and one A record behind the question. */
function answerTo(query: Buffer, works: boolean): Buffer {
  const question = query.subarray(12, query.indexOf(0, 12) + 5);
  const isA = question.readUInt16BE(question.length - 4) === 1;
  const header = Buffer.alloc(12);
  query.copy(header, 0, 0, 2);
  header.writeUInt16BE(works ? 0x8180 : 0x8182, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(works && isA ? 1 : 0, 6);
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
  return Buffer.concat([header, question, ...(works && isA ? [record] : [])]);
}
