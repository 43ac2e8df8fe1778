/** How requests of every Transport fail: connections that break, callers that give up, servers that cannot be reached. */
import { getEventListeners, once } from "node:events";
import { createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { CopyError } from "../../src/errors.ts";
import type { ResponseHandler } from "../../src/oss/http/transport.ts";
import type { TransportOptions } from "../../src/oss/http/transport-options.ts";
import { requested } from "../support/requested.ts";
import { testCertificate } from "./transport-certificate.ts";
import { Collector, listen, ok, pattern, rawServer } from "./transport-server.ts";
import { expectFailure, fail, get, type Make, never, one, raw, settingUp, waitFor } from "./transport-setup.ts";

export function describeFailures(name: string, make: Make): void {
  const setUp = settingUp(make);

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

    test("are told to speak no TLS when they do not, without OpenSSL's own line", async () => {
      const server = createServer((socket) => socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n"));
      const port = await listen(server);
      const error = await attempt({ scheme: "https", host: "127.0.0.1", port });
      expect(error.message).toContain(`cannot connect to 127.0.0.1:${port}: it does not speak TLS`);
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
