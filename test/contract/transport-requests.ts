/** What every Transport sends, and how it uses its connections. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { requested } from "../support/requested.ts";
import { Collector, ok, type Received } from "./transport-server.ts";
import { get, type Make, never, one, raw, settingUp } from "./transport-setup.ts";

export function describeRequests(name: string, make: Make): void {
  const setUp = settingUp(make);

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
}
