/** What every Transport guarantees, against servers that do not behave. */
import { getEventListeners, once } from "node:events";
import { createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { CopyError, type ErrorKind } from "../../src/errors.ts";
import type { TransportOptions } from "../../src/oss/http/transport-options.ts";
import type { HttpRequest, ResponseHandler, Transport } from "../../src/types.ts";
import { requested } from "../support/requested.ts";
import { testCertificate } from "./transport-certificate.ts";
import { Collector, listen, ok, pattern, type RawServer, type Received, rawServer } from "./transport-server.ts";

type Make = (options: TransportOptions) => Transport;
type Scheme = "http" | "https";

const get: HttpRequest = { method: "GET", path: "/object", headers: {} };
const never = new AbortController().signal;
/** With one connection it shows whether it was used again. */
const one = { connections: 1 };

interface Setup extends AsyncDisposable {
  readonly server: RawServer;
  readonly transport: Transport;
}

export function describeTransport(name: string, make: Make): void {
  async function setUp(
    respond: (received: Received) => void,
    options: Partial<TransportOptions> & { scheme?: Scheme; stallMs?: number; minBytesPerSecond?: number } = {},
  ): Promise<Setup> {
    const { scheme = "http", stallMs = 10_000, minBytesPerSecond = 0, ...rest } = options;
    const server = await rawServer(respond, scheme);
    const transport = make({
      origin: { scheme, host: "127.0.0.1", port: server.port },
      connections: 4,
      timeouts: { connectMs: 5_000, stallMs, minBytesPerSecond },
      ca: scheme === "https" ? testCertificate : undefined,
      ...rest,
    });
    return {
      server,
      transport,
      async [Symbol.asyncDispose]() {
        await transport[Symbol.asyncDispose]();
        await server[Symbol.asyncDispose]();
      },
    };
  }

  /** Answers with exactly these bytes, then ends the connection if told so. */
  const raw = (bytes: Buffer | string, end: "keep" | "end" | "reset" = "keep") => {
    return ({ socket, reset }: Received): void => {
      socket.write(bytes, "latin1", () => {
        if (end === "end") socket.end();
        // A reset overtakes bytes that the client has not read yet.
        if (end === "reset") setTimeout(reset, 50);
      });
    };
  };

  describe(`${name}: bodies`, () => {
    for (const scheme of ["http", "https"] as const) {
      test(`arrive exactly, at many sizes, buffer sizes and pauses (${scheme})`, async () => {
        const sizes = [0, 1, 2, 1000, 16_383, 16_384, 65_535, 65_536, 65_537, 300_001, 2_000_003];
        const respond = ({ socket, head }: Received) => socket.write(ok(pattern(Number(head.split(/[/ ]/)[2]))));
        await using setup = await setUp(respond, { scheme, connections: 1 });
        let random = 1;
        const sometimes = () => {
          random = (random * 48_271) % 2_147_483_647;
          return random % 3 === 0;
        };
        for (const size of sizes) {
          for (const bufferBytes of [7, 4096, 100_000, 1 << 22]) {
            if (size / bufferBytes > 20_000) continue;
            for (const pause of [() => false, sometimes]) {
              const collector = new Collector(bufferBytes, pause);
              await requested(setup.transport, { ...get, path: `/${size}` }, collector, never);
              expect(collector.body.equals(pattern(size)), `${size} bytes in ${bufferBytes}`).toBe(true);
              expect(collector.heads).toBe(1);
            }
          }
        }
        expect(setup.server.connections).toBe(1);
      });
    }

    test("of several requests at a time stay apart", async () => {
      const respond = ({ socket, head }: Received) => socket.write(ok(pattern(Number(head.split(/[/ ]/)[2]))));
      await using setup = await setUp(respond, { connections: 3 });
      const sizes = Array.from({ length: 40 }, (_, i) => i * 9973);
      const collectors = await Promise.all(
        sizes.map(async (size) => {
          const collector = new Collector(8192, () => size % 2 === 0 && Math.random() < 0.3);
          await requested(setup.transport, { ...get, path: `/${size}` }, collector, never);
          return collector;
        }),
      );
      for (const [i, size] of sizes.entries()) expect(collectors[i]?.body.equals(pattern(size))).toBe(true);
      expect(setup.server.connections).toBeLessThanOrEqual(3);
    });

    test("may come in chunks, with extensions and trailers, however they are split", async () => {
      const answer =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
        '5;name="a;b"\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n0\r\nX-Trailer: yes\r\n\r\n';
      await using setup = await setUp(({ socket, request }) => {
        socket.setNoDelay(true);
        if (request === 0) socket.write(answer);
        else void dribble(socket, answer);
      }, one);
      for (let i = 0; i < 2; i++) {
        const collector = new Collector(3);
        await requested(setup.transport, get, collector, never);
        expect(collector.body.toString()).toBe("hello 0123456789");
      }
      expect(setup.server.connections).toBe(1);
    });

    test("of an error may end with the connection", async () => {
      await using setup = await setUp(raw("HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\n<Error/>", "end"));
      const collector = new Collector();
      await requested(setup.transport, get, collector, never);
      expect(collector.headSeen?.status).toBe(503);
      expect(collector.body.toString()).toBe("<Error/>");
    });

    test("of a success must have a length", async () => {
      for (const status of ["200 OK", "206 Partial Content"]) {
        await using setup = await setUp(raw(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\nhello`, "end"));
        await expectFailure(requested(setup.transport, get, new Collector(), never), "protocol");
      }
    });

    test("are absent after HEAD, 204 and 304, whatever the length says, and the connection goes on", async () => {
      const answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: keep-alive\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n',
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
      ];
      await using setup = await setUp(({ socket, request }) => socket.write(answers[request] ?? ""), one);
      for (const [i, status] of [200, 204, 304, 200].entries()) {
        const collector = new Collector();
        await requested(setup.transport, i === 0 ? { ...get, method: "HEAD" } : get, collector, never);
        expect(collector.headSeen?.status).toBe(status);
        expect(collector.body.toString()).toBe(i === 3 ? "hi" : "");
      }
      expect(setup.server.connections).toBe(1);
    });
  });

  describe(`${name}: heads`, () => {
    test("reach the handler with lower-case names and repeated headers joined", async () => {
      await using setup = await setUp(raw(ok("", "X-OSS-Request-Id: ABC\r\nx-a:  one \r\nX-A: two\r\nEmpty:\r\n")));
      const collector = new Collector();
      await requested(setup.transport, get, collector, never);
      expect(collector.headSeen).toEqual({
        status: 200,
        headers: { "content-length": "0", "x-oss-request-id": "ABC", "x-a": "one, two", empty: "" },
      });
    });

    test("of informational answers are passed over", async () => {
      const early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
      await using setup = await setUp(raw(Buffer.concat([Buffer.from(early), ok("hello")])));
      const collector = new Collector();
      await requested(setup.transport, get, collector, never);
      expect(collector.headSeen?.status).toBe(200);
      expect(collector.body.toString()).toBe("hello");
    });

    const bad: Record<string, string> = {
      "that are no HTTP": "SSH-2.0-OpenSSH_9.6\r\n\r\n",
      "with a status that is no number": "HTTP/1.1 2xx OK\r\nContent-Length: 0\r\n\r\n",
      "of another version": "HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
      "over the bound": `HTTP/1.1 200 OK\r\nX-Big: ${"x".repeat(70_000)}\r\nContent-Length: 0\r\n\r\n`,
      "with contradicting lengths": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
      "with a negative length": "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
      "with a length that is no number": "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello",
      "with a length and chunks": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "with a space before the colon": "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
      "with a line without a colon": "HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 0\r\n\r\n",
    };
    for (const [what, answer] of Object.entries(bad)) {
      test(`${what} are refused`, async () => {
        await using setup = await setUp(raw(answer));
        const collector = new Collector();
        await expectFailure(requested(setup.transport, get, collector, never), "protocol");
        expect(collector.body.length).toBe(0);
        await waitFor(() => setup.server.open === 0);
      });
    }

    test("of broken chunks are refused", async () => {
      for (const chunks of ["xyz\r\nhello\r\n0\r\n\r\n", "5\r\nhelloXX0\r\n\r\n", "-1\r\n\r\n"]) {
        await using setup = await setUp(raw(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`));
        await expectFailure(requested(setup.transport, get, new Collector(), never), "protocol");
      }
    });
  });

  describe(`${name}: requests`, () => {
    test("carry the path verbatim, the headers given and no others that matter", async () => {
      await using setup = await setUp(raw(ok("")));
      const paths = ["/a/../b", "//lead", "/..", "/a%2Fb?x=%20&y", "/?list-type=2&prefix=a%2F", "/%E4%B8%AD"];
      for (const path of paths) {
        await requested(
          setup.transport,
          { ...get, path, headers: { "x-oss-date": "20260101T000000Z" } },
          new Collector(),
          never,
        );
      }
      expect(setup.server.heads.map((head) => head.split("\r\n")[0])).toEqual(
        paths.map((path) => `GET ${path} HTTP/1.1`),
      );
      const head = setup.server.heads[0]?.toLowerCase() ?? "";
      expect(head).toContain("\r\nx-oss-date: 20260101t000000z");
      expect(head).toContain(`\r\nhost: 127.0.0.1:${setup.server.port}`);
      expect(head).not.toMatch(/\r\n(accept-encoding|content-length|transfer-encoding|user-agent):/);
    });

    test("carry another Host if the transport has one, and yet another if the request has", async () => {
      await using setup = await setUp(raw(ok("")), { hostHeader: "bucket.example" });
      await requested(setup.transport, get, new Collector(), never);
      await requested(setup.transport, { ...get, headers: { host: "other.example" } }, new Collector(), never);
      expect(setup.server.heads[0]?.toLowerCase()).toContain("\r\nhost: bucket.example");
      expect(setup.server.heads[1]?.toLowerCase()).toContain("\r\nhost: other.example");
      expect(setup.server.heads[1]?.toLowerCase()).not.toContain("bucket.example");
    });

    test("follow no redirect", async () => {
      await using setup = await setUp(raw("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"));
      const collector = new Collector();
      await requested(setup.transport, get, collector, never);
      expect(collector.headSeen?.status).toBe(302);
      expect(setup.server.heads.length).toBe(1);
    });
  });

  describe(`${name}: connections`, () => {
    test("are kept for the next request", async () => {
      await using setup = await setUp(raw(ok("hello")), one);
      for (let i = 0; i < 5; i++) await requested(setup.transport, get, new Collector(), never);
      expect(setup.server.connections).toBe(1);
    });

    test("are not kept when the server says so", async () => {
      await using setup = await setUp(raw(ok("hello", "Connection: close\r\n"), "end"));
      for (let i = 0; i < 3; i++) await requested(setup.transport, get, new Collector(), never);
      expect(setup.server.connections).toBe(3);
    });

    for (const scheme of ["http", "https"] as const) {
      for (const how of ["ended", "reset"] as const) {
        test(`that were kept and are ${how} by the server when the next request arrives are replaced (${scheme})`, async () => {
          const respond = ({ socket, request, connection, reset }: Received): void => {
            if (request === 0) socket.write(ok(`from ${connection}`));
            else if (how === "ended") socket.end();
            else reset();
          };
          await using setup = await setUp(respond, { scheme, ...one });
          for (let i = 0; i < 3; i++) {
            const collector = new Collector();
            await requested(setup.transport, get, collector, never);
            expect(collector.body.toString()).toBe(`from ${Math.max(0, setup.server.connections - 1)}`);
          }
          expect(setup.server.connections).toBeGreaterThan(1);
        });
      }
    }

    test("that the server closed while they rested are replaced", async () => {
      await using setup = await setUp(({ socket }) => {
        socket.write(ok("hello"));
        setTimeout(() => socket.end(), 20);
      });
      for (let i = 0; i < 3; i++) {
        await requested(setup.transport, get, new Collector(), never);
        await sleep(60);
      }
      expect(setup.server.connections).toBe(3);
    });

    test("that carry bytes after the body are not used again", async () => {
      const respond = ({ socket, connection }: Received) =>
        socket.write(
          Buffer.concat([ok(`body ${connection}`), Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")]),
        );
      await using setup = await setUp(respond);
      for (let i = 0; i < 3; i++) {
        const collector = new Collector();
        await requested(setup.transport, get, collector, never);
        expect(collector.body.toString()).toBe(`body ${i}`);
      }
      expect(setup.server.connections).toBe(3);
    });

    test("that speak while they rest are not used again", async () => {
      await using setup = await setUp(({ socket, connection }) => {
        socket.write(ok(`body ${connection}`));
        setTimeout(() => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"), 30);
      });
      for (let i = 0; i < 2; i++) {
        const collector = new Collector();
        await requested(setup.transport, get, collector, never);
        expect(collector.body.toString()).toBe(`body ${i}`);
        await sleep(100);
      }
    });

    test("never exceed their number", async () => {
      let open = 0;
      let most = 0;
      await using setup = await setUp(
        ({ socket }) => {
          most = Math.max(most, ++open);
          setTimeout(() => {
            open--;
            socket.write(ok("x"));
          }, 5);
        },
        { connections: 2 },
      );
      await Promise.all(Array.from({ length: 20 }, () => requested(setup.transport, get, new Collector(), never)));
      expect(most).toBe(2);
      expect(setup.server.connections).toBeLessThanOrEqual(2);
    });
  });

  describe(`${name}: broken connections`, () => {
    test("that are reset before the head are interrupted, and not tried again", async () => {
      await using setup = await setUp(({ reset }) => reset());
      await expectFailure(requested(setup.transport, get, new Collector(), never), "interrupted");
      expect(setup.server.heads.length).toBe(1);
    });

    test("that are ended before or in the head are interrupted", async () => {
      for (const start of ["", "HTTP/1.1 200 OK\r\nContent-Le"]) {
        await using setup = await setUp(raw(start, "end"));
        await expectFailure(requested(setup.transport, get, new Collector(), never), "interrupted");
      }
    });

    test("that are reset in the body are interrupted and say how much had arrived", async () => {
      await using setup = await setUp(
        raw(`HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n${"x".repeat(300)}`, "reset"),
      );
      const error = await expectFailure(requested(setup.transport, get, new Collector(), never), "interrupted");
      expect(error.receivedBytes).toBe(300);
    });

    for (const scheme of ["http", "https"] as const) {
      test(`that end early are interrupted, never a short success (${scheme})`, async () => {
        for (const connection of ["", "Connection: close\r\n"]) {
          const answer = `HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n${connection}\r\n${"x".repeat(999)}`;
          await using setup = await setUp(raw(answer, "end"), { scheme });
          const error = await expectFailure(requested(setup.transport, get, new Collector(), never), "interrupted");
          expect(error.receivedBytes).toBe(999);
        }
      });
    }

    test("that end within chunks are interrupted", async () => {
      for (const chunks of ["5\r\nhel", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n"]) {
        for (const connection of ["", "Connection: close\r\n"]) {
          const answer = `HTTP/1.1 200 OK\r\n${connection}Transfer-Encoding: chunked\r\n\r\n${chunks}`;
          await using setup = await setUp(raw(answer, "end"));
          await expectFailure(requested(setup.transport, get, new Collector(), never), "interrupted");
        }
      }
    });

    test("that fall silent before the head or in the body are interrupted", async () => {
      for (const start of ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"]) {
        await using setup = await setUp(raw(start), { stallMs: 200 });
        const error = await expectFailure(requested(setup.transport, get, new Collector(), never), "interrupted");
        expect(error.message).toContain("no byte for 0.2 s");
        await waitFor(() => setup.server.open === 0);
      }
    });

    test("that only drip are interrupted", async () => {
      await using setup = await setUp(
        ({ socket }) => {
          socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
          const timer = setInterval(() => socket.write("x"), 20);
          socket.on("close", () => clearInterval(timer));
        },
        { minBytesPerSecond: 10_000, speedWindowMs: 300 },
      );
      const error = await expectFailure(requested(setup.transport, get, new Collector(), never), "interrupted");
      expect(error.message).toContain("too slow");
    });

    test("do not count as silent or slow while we have paused them", async () => {
      const body = pattern(3_000_000);
      await using setup = await setUp(raw(ok(body)), {
        stallMs: 150,
        minBytesPerSecond: 1_000_000,
        speedWindowMs: 150,
      });
      const collector = new Collector(1 << 20);
      let pauses = 0;
      const handler: ResponseHandler = {
        head: (head, flow) => {
          collector.head(head, flow);
          resume = () => flow.resume();
        },
        buffer: () => {
          if (pauses >= 2 || collector.body.length < pauses * 1_000_000) return collector.buffer();
          pauses++;
          setTimeout(() => resume(), 500);
          return undefined;
        },
        filled: (bytes) => collector.filled(bytes),
      };
      let resume = (): void => {};
      await requested(setup.transport, get, handler, never);
      expect(pauses).toBe(2);
      expect(collector.body.equals(body)).toBe(true);
    });
  });

  describe(`${name}: a caller that gives up`, () => {
    test("is told only after its request has returned, and once", async () => {
      await using setup = await setUp(raw(ok("body")));
      const told: string[] = [];
      const receiver = {
        head: () => told.push("head"),
        buffer: () => Buffer.alloc(100),
        filled: () => told.push("filled"),
        ended: () => told.push("ended"),
        failed: (error: unknown) => told.push(String(error)),
      };
      setup.transport.send(get, receiver, AbortSignal.abort("enough"));
      setup.transport.send({ ...get, headers: { a: "b\nc" } }, { ...receiver, failed: () => told.push("bad") }, never);
      setup.transport.send(get, receiver, never);
      told.push("returned");
      await waitFor(() => told.includes("ended"));
      expect(told.slice(0, 3).toSorted()).toEqual(["bad", "enough", "returned"]);
      expect(told[0]).toBe("returned");
      expect(told.slice(3)).toEqual(["head", "filled", "ended"]);
    });

    for (const when of ["before the head", "in the body"]) {
      test(`${when} gets the signal's reason, and the connection is closed`, async () => {
        const start = when === "in the body" ? "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello" : "";
        await using setup = await setUp(raw(start));
        const controller = new AbortController();
        const reason = new Error("enough");
        const running = requested(setup.transport, get, new Collector(), controller.signal);
        await waitFor(() => setup.server.heads.length === 1);
        await sleep(20);
        controller.abort(reason);
        await expect(running).rejects.toBe(reason);
        await waitFor(() => setup.server.open === 0);
      });
    }

    test("while paused gets the signal's reason", async () => {
      await using setup = await setUp(raw(ok(pattern(1_000_000))));
      const controller = new AbortController();
      const paused = Promise.withResolvers<void>();
      const handler: ResponseHandler = {
        head: () => {},
        buffer: () => {
          paused.resolve();
          return undefined;
        },
        filled: () => {},
      };
      const running = requested(setup.transport, get, handler, controller.signal);
      await paused.promise;
      controller.abort(new Error("enough"));
      await expect(running).rejects.toThrow("enough");
      await waitFor(() => setup.server.open === 0);
    });

    test("while waiting for a connection gets the signal's reason at once, and the others go on", async () => {
      const held: Socket[] = [];
      await using setup = await setUp(({ socket }) => held.push(socket), { connections: 1 });
      const first = requested(setup.transport, get, new Collector(), never);
      await waitFor(() => held.length === 1);
      const controller = new AbortController();
      const second = requested(setup.transport, get, new Collector(), controller.signal);
      const third = requested(setup.transport, get, new Collector(), never);
      controller.abort(new Error("enough"));
      await expect(second).rejects.toThrow("enough");
      held[0]?.write(ok("first"));
      await first;
      await waitFor(() => held.length === 2);
      held[1]?.write(ok("third"));
      await third;
      expect(setup.server.heads.length).toBe(2);
    });

    test("late, after many requests, finds no listeners piled up on its signal", async () => {
      await using setup = await setUp(raw(ok("x")), { connections: 2 });
      const { signal } = new AbortController();
      for (let i = 0; i < 10; i++) {
        await Promise.all([1, 2, 3].map(() => requested(setup.transport, get, new Collector(), signal)));
        expect(getEventListeners(signal, "abort").length).toBeLessThanOrEqual(1);
      }
    });

    test("by disposing of the transport ends the requests that are open", async () => {
      await using setup = await setUp(raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"), one);
      const running = [1, 2].map(() =>
        expectFailure(requested(setup.transport, get, new Collector(), never), "interrupted"),
      );
      await waitFor(() => setup.server.heads.length === 1);
      await setup.transport[Symbol.asyncDispose]();
      await Promise.all(running);
      await waitFor(() => setup.server.open === 0);
    });

    test("beforehand sends nothing", async () => {
      await using setup = await setUp(raw(ok("")));
      await expect(
        requested(setup.transport, get, new Collector(), AbortSignal.abort(new Error("enough"))),
      ).rejects.toThrow("enough");
      expect(setup.server.connections).toBe(0);
    });

    for (const where of ["head", "buffer", "filled"] as const) {
      test(`by throwing in ${where}() gets exactly that error, and the connection is closed`, async () => {
        await using setup = await setUp(raw(ok(pattern(1_000_000))));
        const bug = new Error(`bug in ${where}`);
        const collector = new Collector();
        const handler: ResponseHandler = {
          head: (head, flow) => (where === "head" ? fail(bug) : collector.head(head, flow)),
          buffer: () => (where === "buffer" ? fail(bug) : collector.buffer()),
          filled: (bytes) => (where === "filled" ? fail(bug) : collector.filled(bytes)),
        };
        await expect(requested(setup.transport, get, handler, never)).rejects.toBe(bug);
        await waitFor(() => setup.server.open === 0);
      });
    }
  });

  describe(`${name}: servers that cannot be reached`, () => {
    const timeouts = { connectMs: 500, stallMs: 5_000, minBytesPerSecond: 0 };

    async function attempt(origin: TransportOptions["origin"], ca?: string): Promise<CopyError> {
      await using transport = make({ origin, connections: 1, timeouts, ca });
      return await expectFailure(requested(transport, get, new Collector(), never), "unreachable");
    }

    test("are named with the reason when they refuse", async () => {
      const server = createServer();
      const port = await listen(server);
      server.close();
      await once(server, "close");
      const error = await attempt({ scheme: "http", host: "127.0.0.1", port });
      expect(error.message).toBe(`cannot connect to 127.0.0.1:${port}: connection refused`);
    });

    test("are named when their name does not resolve", async () => {
      const error = await attempt({ scheme: "http", host: "nowhere.invalid", port: 80 });
      expect(error.message).toContain("cannot resolve nowhere.invalid");
    });

    test("are given up after the connect time-out when they do not finish the handshake", async () => {
      const sockets: Socket[] = [];
      const server = createServer((socket) => sockets.push(socket.on("error", () => {})));
      const port = await listen(server);
      const error = await attempt({ scheme: "https", host: "127.0.0.1", port });
      expect(error.message).toBe(`cannot connect to 127.0.0.1:${port}: timed out`);
      for (const socket of sockets) socket.destroy();
      server.close();
    });

    test("are refused when their certificate is unknown or for another name, whatever the environment says", async () => {
      vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
      onTestFinished(() => {
        vi.unstubAllEnvs();
      });
      await using server = await rawServer(raw(ok("secret")), "https");
      const unknown = await attempt({ scheme: "https", host: "127.0.0.1", port: server.port });
      expect(unknown.message).toContain("TLS: self-signed certificate");
      await using other = await rawServer(raw(ok("secret")), "https", "127.0.0.2");
      const misnamed = await attempt({ scheme: "https", host: "127.0.0.2", port: other.port }, testCertificate);
      expect(misnamed.message).toContain("TLS: certificate is for another name");
      expect([...server.heads, ...other.heads]).toEqual([]);
    });

    test("are accepted by the name in their certificate", async () => {
      await using server = await rawServer(raw(ok("secret")), "https");
      const origin = { scheme: "https", host: "localhost", port: server.port } as const;
      await using transport = make({
        origin,
        hostHeader: "bucket.example",
        connections: 1,
        timeouts,
        ca: testCertificate,
      });
      const collector = new Collector();
      await requested(transport, get, collector, never);
      expect(collector.body.toString()).toBe("secret");
    });
  });
}

async function expectFailure(running: Promise<void>, kind: ErrorKind): Promise<CopyError> {
  const error = await running.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof CopyError)) throw new Error(`expected a CopyError, got ${String(error)}`, { cause: error });
  expect(`${error.kind}: ${error.message}`).toMatch(new RegExp(`^${kind}: `));
  return error;
}

async function waitFor(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !condition(); i++) await sleep(5);
  expect(condition()).toBe(true);
}

async function dribble(socket: Socket, text: string): Promise<void> {
  for (const byte of text) {
    socket.write(byte);
    await sleep(0);
  }
}

function fail(error: Error): never {
  throw error;
}
