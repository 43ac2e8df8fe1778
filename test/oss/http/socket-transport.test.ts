import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { CopyError } from "../../../src/errors.ts";
import { SocketTransport } from "../../../src/oss/http/socket-transport.ts";
import { testCertificate } from "../../contract/transport-certificate.ts";
import { Collector, ok, pattern, type Received, rawServer } from "../../contract/transport-server.ts";
import { requested } from "../../support/requested.ts";

const never = new AbortController().signal;
const timeouts = { connectMs: 5_000, stallMs: 300, minBytesPerSecond: 0 };

/** Repeatable chance. */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

function bodyOf(id: number): Buffer {
  return Buffer.concat([Buffer.from(`${id}:`), pattern((id * 7919) % 150_000)]);
}

/** Answers like a good server mostly, and in some other way otherwise. */
function misbehave(random: (below: number) => number): (received: Received) => void {
  return ({ socket, head, reset }) => {
    const answer = ok(bodyOf(Number(head.split(/[/ ]/)[2])));
    const cut = answer.subarray(0, random(answer.length));
    const ways: (() => unknown)[] = [
      () => socket.end(cut),
      () => socket.write(cut, () => setTimeout(reset, random(5))),
      () => reset(),
      () => socket.end(),
      () => socket.end(answer),
      () => socket.write(cut),
      () => socket.write(Buffer.concat([answer, Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")])),
      () => socket.write(`garbage\r\n\r\n`),
      () => {
        socket.write(cut);
        setTimeout(() => socket.write(answer.subarray(cut.length)), random(20));
      },
    ];
    const way = ways[random(4 * ways.length)];
    if (way === undefined) socket.write(answer);
    else way();
  };
}

describe("the socket transport", () => {
  for (const scheme of ["http", "https"] as const) {
    test(`never mixes up answers and settles every request, whatever the server does (${scheme})`, async () => {
      const random = chance(scheme.length);
      await using server = await rawServer(misbehave(chance(42)), scheme);
      const origin = { scheme, host: "127.0.0.1", port: server.port };
      const ca = scheme === "https" ? testCertificate : undefined;
      await using transport = new SocketTransport({ origin, connections: 6, timeouts, ca });
      const count = { complete: 0, failed: 0, aborted: 0 };
      const one = async (id: number): Promise<void> => {
        const controller = new AbortController();
        const collector = new Collector(1 + random(40_000), () => random(4) === 0);
        const aborting =
          random(10) === 0 ? setTimeout(() => controller.abort(new Error("enough")), random(20)) : undefined;
        try {
          await requested(transport, { method: "GET", path: `/${id}`, headers: {} }, collector, controller.signal);
          expect(collector.body.equals(bodyOf(id)), `body of ${id}`).toBe(true);
          count.complete++;
        } catch (error) {
          if (error instanceof CopyError) count.failed++;
          else if (error instanceof Error && error.message === "enough") count.aborted++;
          else throw error;
        } finally {
          clearTimeout(aborting);
        }
      };
      let next = 0;
      const lane = async (): Promise<void> => {
        while (next < 400) await one(next++);
      };
      await Promise.all(Array.from({ length: 12 }, lane));
      expect(count.complete).toBeGreaterThan(200);
      expect(count.failed).toBeGreaterThan(20);
      expect(count.complete + count.failed + count.aborted).toBe(400);
      expect(server.open).toBeLessThanOrEqual(6);
    });
  }

  test("leaves a connection before the server closes it, if the server said when", async () => {
    await using server = await rawServer(({ socket }) => socket.write(ok("x", "Keep-Alive: timeout=1\r\n")), "http");
    const origin = { scheme: "http", host: "127.0.0.1", port: server.port } as const;
    await using transport = new SocketTransport({ origin, connections: 1, timeouts });
    for (let i = 0; i < 3; i++)
      await requested(transport, { method: "GET", path: "/", headers: {} }, new Collector(), never);
    expect(server.connections).toBe(3);
  });

  test("opens no more connections for a replaced one than it may have", async () => {
    const open: number[] = [];
    await using server = await rawServer(({ socket, request }) => {
      open.push(server.open);
      if (request === 0) socket.write(ok("x"));
      else socket.end();
    }, "http");
    const origin = { scheme: "http", host: "127.0.0.1", port: server.port } as const;
    await using transport = new SocketTransport({ origin, connections: 2, timeouts });
    const request = () => requested(transport, { method: "GET", path: "/", headers: {} }, new Collector(), never);
    for (let i = 0; i < 10; i++) await Promise.all([request(), request(), request(), request()]);
    // A connection that the server has closed counts until both ends know.
    expect(Math.max(...open)).toBeLessThanOrEqual(4);
    expect(server.open).toBeLessThanOrEqual(2);
  });

  test("keeps nothing open once it is disposed of", async () => {
    await using server = await rawServer(({ socket }) => socket.write(ok("x")), "http");
    const origin = { scheme: "http", host: "127.0.0.1", port: server.port } as const;
    const transport = new SocketTransport({ origin, connections: 2, timeouts });
    await requested(transport, { method: "GET", path: "/", headers: {} }, new Collector(), never);
    await transport[Symbol.asyncDispose]();
    for (let i = 0; i < 100 && server.open > 0; i++) await sleep(5);
    expect(server.open).toBe(0);
    const late = requested(transport, { method: "GET", path: "/", headers: {} }, new Collector(), never);
    await expect(late).rejects.toMatchObject({ kind: "interrupted" });
  });
});
