import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { unreachable } from "../../../src/oss/http/failures.ts";
import { UndiciTransport } from "../../../src/oss/http/undici-transport.ts";
import { testCertificate } from "../../contract/transport-certificate.ts";
import { Collector, listen, ok, rawServer } from "../../contract/transport-server.ts";
import { requested } from "../../support/requested.ts";

const never = new AbortController().signal;
const timeouts = { connectMs: 5_000, stallMs: 5_000, minBytesPerSecond: 0 };

/** A proxy that notes what it is asked for; it tunnels, and answers plain requests itself. */
async function startProxy() {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.end("from the proxy");
  });
  server.on("connection", (socket: Socket) => sockets.add(socket));
  server.on("connect", (request: IncomingMessage, socket: Socket) => {
    asked.push(`CONNECT ${request.url}`);
    const [host = "", port = ""] = (request.url ?? "").split(":");
    const upstream = connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on("error", () => socket.destroy());
    socket.on("error", () => upstream.destroy());
  });
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

async function fetchThrough(scheme: "http" | "https", port: number, proxy: object): Promise<string> {
  const origin = { scheme, host: "127.0.0.1", port };
  const ca = scheme === "https" ? testCertificate : undefined;
  await using transport = new UndiciTransport({ origin, connections: 2, timeouts, ca, proxy });
  const collector = new Collector();
  await requested(transport, { method: "GET", path: "/a/../b?c", headers: {} }, collector, never);
  return collector.body.toString();
}

describe("a proxy", () => {
  test("tunnels HTTPS, with the origin's own certificate checked", async () => {
    await using server = await rawServer(({ socket }) => socket.write(ok("secret")), "https");
    await using proxy = await startProxy();
    expect(await fetchThrough("https", server.port, { httpsProxy: proxy.url })).toBe("secret");
    expect(proxy.asked).toEqual([`CONNECT 127.0.0.1:${server.port}`]);
    expect(server.heads[0]).toContain("GET /a/../b?c HTTP/1.1");
  });

  test("is asked for plain HTTP with the whole URL, its path verbatim", async () => {
    await using proxy = await startProxy();
    expect(await fetchThrough("http", 9, { httpProxy: proxy.url })).toBe("from the proxy");
    expect(proxy.asked).toEqual(["GET http://127.0.0.1:9/a/../b?c"]);
  });

  test("is passed by for hosts that need none", async () => {
    await using server = await rawServer(({ socket }) => socket.write(ok("direct")), "http");
    await using proxy = await startProxy();
    expect(await fetchThrough("http", server.port, { httpProxy: proxy.url, noProxy: "127.0.0.1" })).toBe("direct");
    expect(proxy.asked).toEqual([]);
  });

  test.each(["http", "https"] as const)("that cannot be reached is told by its own address (%s)", async (scheme) => {
    const refused = fetchThrough(scheme, 9, { [`${scheme}Proxy`]: "http://127.0.0.1:1" });
    await expect(refused).rejects.toMatchObject({
      kind: "unreachable",
      message: "cannot connect to 127.0.0.1:9: the proxy 127.0.0.1:1: connection refused",
    });
  });

  test("whose name nobody knows is told by that name", () => {
    const cause = Object.assign(new Error("getaddrinfo ENOTFOUND proxy.corp"), {
      code: "ENOTFOUND",
      hostname: "proxy.corp",
    });
    const origin = { scheme: "https", host: "oss-cn-hangzhou.aliyuncs.com", port: 443 } as const;
    expect(unreachable(origin, cause).message).toBe("cannot resolve proxy.corp");
  });
});
