import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { pushMetrics } from "../../src/observe/metrics-push.ts";

const exposition = { contentType: "text/plain; version=0.0.4", metrics: async () => "a 1\n" };
const never = new AbortController().signal;

interface Received {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly authorization: string | undefined;
  readonly body: string;
}

/** Stands for a Pushgateway. */
async function gateway(status: number) {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const { method, url } = request;
    void text(request).then((body) => {
      received.push({ method, url, authorization: request.headers.authorization, body });
      response.writeHead(status).end();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // listening on TCP
  return {
    received,
    port,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

test("the metrics replace the group that the labels name", async () => {
  await using server = await gateway(202);
  const labels = { claim: "a b", path: "data/model", none: "" };
  const url = `http://user:p%40ss@127.0.0.1:${server.port}/prefix/`;
  expect(await pushMetrics(exposition, { url, labels }, never)).toBeUndefined();
  expect(server.received).toEqual([
    {
      method: "PUT",
      url: "/prefix/metrics/job/oss_populator/claim/a%20b/path@base64/ZGF0YS9tb2RlbA/none@base64/=",
      authorization: `Basic ${Buffer.from("user:p@ss").toString("base64")}`,
      body: "a 1\n",
    },
  ]);
});

test("a job of one's own replaces ours", async () => {
  await using server = await gateway(200);
  await pushMetrics(exposition, { url: `http://127.0.0.1:${server.port}`, labels: { job: "mine" } }, never);
  expect(server.received[0]?.url).toBe("/metrics/job/mine");
  expect(server.received[0]?.authorization).toBeUndefined();
});

test("a refusal and an unreachable gateway are warnings without the password", async () => {
  const server = await gateway(400);
  const url = `http://user:geheim@127.0.0.1:${server.port}`;
  const refused = await pushMetrics(exposition, { url, labels: {} }, never);
  expect(refused).toBe(`cannot push the metrics to http://127.0.0.1:${server.port}: it answered 400`);
  await server[Symbol.asyncDispose]();
  const unreachable = await pushMetrics(exposition, { url, labels: {} }, never);
  expect(unreachable).toMatch(/^cannot push the metrics to http:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/);
});
