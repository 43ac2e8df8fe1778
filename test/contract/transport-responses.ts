/** What every Transport makes of bodies and heads, whatever a server sends. */
import { describe, expect, test } from "vitest";
import { requested } from "../support/requested.ts";
import { Collector, ok, pattern, type Received } from "./transport-server.ts";
import { dribble, expectFailure, get, type Make, never, one, raw, settingUp, waitFor } from "./transport-setup.ts";

export function describeResponses(name: string, make: Make): void {
  const setUp = settingUp(make);

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
}
