import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, get, type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { expect, test } from "vitest";
import type { Exposition } from "../../src/observe/metrics.ts";
import { type ServedSources, serveMetrics } from "../../src/observe/metrics-server.ts";
import { progressWith } from "./support.ts";

const exposition: Exposition = { contentType: "text/plain; version=0.0.4", metrics: async () => "a 1\n" };

function serving(changes: Partial<ServedSources> = {}) {
  return serveMetrics({ host: "127.0.0.1", port: 0 }, { exposition, progress: () => progressWith(), ...changes });
}

test("metrics, health and progress are served", async () => {
  await using server = await serving();
  const origin = `http://127.0.0.1:${server.port}`;
  const metrics = await fetch(`${origin}/metrics?x=1`);
  expect(metrics.headers.get("content-type")).toBe("text/plain; version=0.0.4");
  expect(await metrics.text()).toBe("a 1\n");
  expect((await fetch(`${origin}/healthz`)).status).toBe(200);
  const progress = await fetch(`${origin}/progress`);
  expect(progress.headers.get("content-type")).toBe("application/json");
  expect(await progress.json()).toMatchObject({ phase: "copying", ratio: null });
});

test("HEAD has the head only, other paths and methods are refused", async () => {
  await using server = await serving();
  const origin = `http://127.0.0.1:${server.port}`;
  const head = await fetch(`${origin}/metrics`, { method: "HEAD" });
  expect(head.status).toBe(200);
  expect(head.headers.get("content-length")).toBe("4");
  expect(await head.text()).toBe("");
  for (const path of ["/", "/metrics/", "/constructor", "/__proto__"]) {
    expect((await fetch(origin + path)).status).toBe(404);
  }
  const post = await fetch(`${origin}/metrics`, { method: "POST", body: "x" });
  expect(post.status).toBe(405);
  expect(post.headers.get("allow")).toBe("GET, HEAD");
});

test("a scrape that fails is a 500, and the next one works", async () => {
  let broken = true;
  const flaky = {
    ...exposition,
    metrics: () => (broken ? Promise.reject(new Error("no numbers")) : exposition.metrics()),
  };
  await using server = await serving({ exposition: flaky });
  const failed = await fetch(`http://127.0.0.1:${server.port}/metrics`);
  expect(failed.status).toBe(500);
  expect(await failed.text()).toContain("no numbers");
  broken = false;
  expect((await fetch(`http://127.0.0.1:${server.port}/metrics`)).status).toBe(200);
});

test("an address that cannot be had is said with the option's name", async () => {
  await using server = await serving();
  const sources = { exposition, progress: () => progressWith() };
  await expect(serveMetrics({ host: "127.0.0.1", port: server.port }, sources)).rejects.toThrow(
    `cannot listen on 127.0.0.1:${server.port} (--metrics-listen): address in use`,
  );
  await expect(serveMetrics({ host: "2001:db8::1", port: 9090 }, sources)).rejects.toThrow(
    /^cannot listen on \[2001:db8::1\]:9090 \(--metrics-listen\): /,
  );
});

test("closing does not wait for kept-alive, silent or half-sent requests", async () => {
  const server = await serving();
  const agent = new Agent({ keepAlive: true });
  const [response] = (await once(get({ port: server.port, path: "/healthz", agent }), "response")) as [IncomingMessage];
  response.resume();
  await once(response, "end");
  const silent = connect(server.port, "127.0.0.1");
  await once(silent, "connect");
  const half = request({ port: server.port, path: "/metrics", method: "POST", headers: { "content-length": 10 } });
  half.on("error", () => {});
  half.write("x");
  silent.resume();
  const ended = once(silent, "close");
  await server[Symbol.asyncDispose]();
  await ended;
  agent.destroy();
});

test("neither the server nor an open connection nor the default metrics keep the process alive", async () => {
  const resolve = (name: string) => JSON.stringify(import.meta.resolve(`../../src/observe/${name}.ts`));
  const program = `
    import { connect } from "node:net";
    const { serveMetrics } = await import(${resolve("metrics-server")});
    const { createExposition } = await import(${resolve("metrics")});
    const { Tally } = await import(${resolve("tally")});
    const progress = () => (${JSON.stringify(progressWith())});
    const exposition = await createExposition(
      { tally: new Tally(), progress, stats: () => ({}), exitCode: () => undefined, shown: async () => 0 },
      { version: "1", retryKinds: [], ownerUid: undefined });
    const server = await serveMetrics({ host: "127.0.0.1", port: 0 }, { exposition, progress });
    connect(server.port, "127.0.0.1", function () { this.unref(); console.log("connected"); });`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    output += chunk;
  });
  const [code] = await once(child, "close");
  expect([code, output]).toEqual([0, "connected\n"]);
});
