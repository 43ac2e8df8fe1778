import { createServer, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { describe, expect, test, vi } from "vitest";
import { Addresses } from "../../../src/oss/http/addresses.ts";
import { type Attachable, Connector } from "../../../src/oss/http/connector.ts";
import { secureContext } from "../../../src/oss/http/trust.ts";
import { testCertificate } from "../../contract/transport-certificate.ts";
import { listen, rawServer } from "../../contract/transport-server.ts";

vi.mock("../../../src/oss/http/trust.ts", async (original) => {
  const real = await original<typeof import("../../../src/oss/http/trust.ts")>();
  return { ...real, secureContext: vi.fn(real.secureContext) };
});

const never = new AbortController().signal;

function connectorTo(port: number, addresses: readonly string[], connectMs = 5_000): Connector {
  const found = addresses.map((address) => ({ address }));
  const options = {
    origin: { scheme: "http", host: "bucket.example", port },
    connections: 1,
    timeouts: { connectMs, stallMs: 1_000, minBytesPerSecond: 0 },
  } as const;
  return new Connector(options, new Addresses("bucket.example", () => Promise.resolve(found)));
}

async function opened(connector: Connector, signal = never): Promise<Socket | undefined> {
  let attached: Socket | undefined;
  const target: Attachable = {
    onread: { buffer: Buffer.alloc(1024), callback: () => true },
    attach: (socket) => {
      attached = socket;
    },
  };
  await connector.connect(target, signal);
  return attached;
}

/** Connects and says to which address. */
async function peer(connector: Connector, signal = never): Promise<string | undefined> {
  const socket = await opened(connector, signal);
  const address = socket?.remoteAddress;
  socket?.destroy();
  return address;
}

async function server(): Promise<AsyncDisposable & { port: number }> {
  const listening = createServer((socket) => socket.destroy());
  const port = await listen(listening, "0.0.0.0");
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      listening.close();
    },
  };
}

describe("connections to a name with several addresses", () => {
  test("are spread over them", async () => {
    await using listening = await server();
    const connector = connectorTo(listening.port, ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    const peers = [];
    for (let i = 0; i < 6; i++) peers.push(await peer(connector));
    expect(peers.slice(0, 3).sort()).toEqual(["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    expect(peers.slice(3)).toEqual(peers.slice(0, 3));
  });

  test("are made to the next one where one refuses, which is then tried last", async () => {
    const listening = createServer((socket) => socket.destroy());
    const port = await listen(listening, "127.0.0.2");
    const connector = connectorTo(port, ["127.0.0.1", "127.0.0.2"]);
    expect([await peer(connector), await peer(connector), await peer(connector)]).toEqual(Array(3).fill("127.0.0.2"));
    listening.close();
  });

  test("fail with the last reason when all refuse", async () => {
    const connector = connectorTo(1, ["127.0.0.1", "127.0.0.2"]);
    const message = "cannot connect to bucket.example:1: connection refused";
    await expect(peer(connector)).rejects.toMatchObject({ kind: "unreachable", message });
  });

  test("are given up with the signal's reason", async () => {
    await using listening = await server();
    const connector = connectorTo(listening.port, ["127.0.0.1"]);
    await expect(peer(connector, AbortSignal.abort(new Error("enough")))).rejects.toThrow("enough");
  });

  test("fail when the name server does not answer in time", async () => {
    const options = {
      origin: { scheme: "http", host: "bucket.example", port: 80 },
      connections: 1,
      timeouts: { connectMs: 50, stallMs: 1_000, minBytesPerSecond: 0 },
    } as const;
    const connector = new Connector(options, new Addresses("bucket.example", () => new Promise(() => {})));
    await expect(peer(connector)).rejects.toMatchObject({
      message: "cannot resolve bucket.example: the name server does not answer",
    });
  });
});

describe("TLS connections", () => {
  test("that are opened at once share one look at the trusted certificates, and take the cheapest strong cipher", async () => {
    await using listening = await rawServer(() => {}, "https");
    const connector = new Connector({
      origin: { scheme: "https", host: "127.0.0.1", port: listening.port },
      connections: 8,
      timeouts: { connectMs: 5_000, stallMs: 1_000, minBytesPerSecond: 0 },
      ca: testCertificate,
    });
    const cipher = async (): Promise<string | undefined> => {
      const socket = await opened(connector);
      const name = socket instanceof TLSSocket ? socket.getCipher().name : undefined;
      socket?.destroy();
      return name;
    };
    const ciphers = await Promise.all(Array.from({ length: 8 }, cipher));
    expect(ciphers).toEqual(Array(8).fill("TLS_AES_128_GCM_SHA256"));
    expect(secureContext).toHaveBeenCalledTimes(1);
  });
});
