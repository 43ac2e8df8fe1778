import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { MetricsPush, type PushOptions } from "../../src/observe/metrics-push.ts";
import { tellToQuit } from "../../src/observe/quit.ts";
import { secretsOfUrl } from "../../src/observe/send.ts";
import { makeCertificate } from "../emulator/certificate.ts";
import { recordHttp } from "../support/http-recorder.ts";

function pushing(options: Partial<PushOptions> & Pick<PushOptions, "url">) {
  const failures: string[] = [];
  let asked = 0;
  const exposition = { contentType: "text/plain; version=0.0.4", metrics: async () => `a ${++asked}\n` };
  const onFailure = (sentence: string) => failures.push(sentence);
  return { push: new MetricsPush(exposition, { labels: {}, onFailure, ...options }), failures };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await setTimeout(5);
}

test("the metrics replace the group that the labels name, with basic authentication", async () => {
  await using server = await recordHttp((response) => response.writeHead(202).end());
  const labels = { claim: "a b", path: "data/model", none: "" };
  const { push, failures } = pushing({ url: `http://user:p%40ss@127.0.0.1:${server.port}/prefix/`, labels });
  await push.finish(5000);
  expect(failures).toEqual([]);
  const url = "/prefix/metrics/job/oss_populator/claim/a%20b/path@base64/ZGF0YS9tb2RlbA/none@base64/=";
  const authorization = `Basic ${Buffer.from("user:p@ss").toString("base64")}`;
  expect(server.received).toEqual([
    { method: "PUT", url, authorization, body: "a 1\n" },
    { method: "PUT", url, authorization, body: "a 2\n" },
  ]);
});

test("a job of one's own replaces ours", async () => {
  await using server = await recordHttp();
  await pushing({ url: server.url, labels: { job: "mine" } }).push.finish(5000);
  expect(server.received[0]?.url).toBe("/metrics/job/mine");
  expect(server.received[0]?.authorization).toBeUndefined();
});

test("it is pushed at intervals, one push at a time, until the end", async () => {
  let open = 0;
  let most = 0;
  await using server = await recordHttp(async (response) => {
    most = Math.max(most, ++open);
    await setTimeout(30);
    open--;
    response.end();
  });
  const { push } = pushing({ url: server.url, everyMs: 10 });
  await until(() => server.received.length >= 3);
  await push.finish(5000);
  const count = server.received.length;
  await setTimeout(60);
  expect(server.received.map(({ body }) => body)).toEqual(Array.from({ length: count }, (_, at) => `a ${at + 1}\n`));
  expect(most).toBe(1);
});

test("of failures in a row the first is told, and the one at the end, without user and password", async () => {
  let status = 400;
  await using server = await recordHttp((response) => response.writeHead(status).end("inconsistent\nlabels"));
  const { push, failures } = pushing({ url: `http://user:geheim@127.0.0.1:${server.port}`, everyMs: 10 });
  await until(() => server.received.length >= 3);
  const sentence = `cannot push the metrics to ${server.url}: it answered 400, inconsistent`;
  expect(failures).toEqual([sentence]);
  status = 200;
  const before = server.received.length;
  await until(() => server.received.length > before + 1);
  status = 400;
  await until(() => failures.length > 1);
  await push.finish(5000);
  expect(failures).toEqual([sentence, sentence, sentence]);
});

test("a gateway that cannot be reached is told as such", async () => {
  const server = await recordHttp();
  await server[Symbol.asyncDispose]();
  const { push, failures } = pushing({ url: server.url });
  await push.finish(5000);
  expect(failures[0]).toMatch(/^cannot push the metrics to http:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/);
});

test("a gateway that never answers does not hold up the end for longer than it may", async () => {
  await using server = await recordHttp(() => {});
  const { push, failures } = pushing({ url: server.url });
  await until(() => server.received.length === 1);
  const startedMs = performance.now();
  await push.finish(300);
  expect(performance.now() - startedMs).toBeLessThan(3000);
  expect(failures.at(-1)).toBe(`cannot push the metrics to ${server.url}: it took too long`);
});

test("the metrics go through the proxy that the scheme has, but not to hosts that need none", async () => {
  await using gateway = await recordHttp();
  await using proxy = await recordHttp();
  const proxies = { httpProxy: proxy.url };
  await pushing({ url: gateway.url, proxies }).push.finish(5000);
  expect([gateway.received.length, proxy.received.length > 0]).toEqual([0, true]);
  const before = proxy.received.length;
  await pushing({ url: gateway.url, proxies: { ...proxies, noProxy: "127.0.0.1" } }).push.finish(5000);
  expect([gateway.received.length, proxy.received.length]).toEqual([2, before]);
});

test("a proxy that is none is a failure that is told, and ends nothing", async () => {
  await using gateway = await recordHttp();
  const { push, failures } = pushing({ url: gateway.url, proxies: { httpProxy: "no proxy at all" } });
  await push.finish(5000);
  expect(failures[0]).toMatch(/^cannot push the metrics to .*: Invalid URL/);
  expect(gateway.received).toEqual([]);
});

test("a gateway and a sidecar with a certificate of one's own are trusted where that is in the given file", async () => {
  await using certificate = await makeCertificate();
  await using server = await recordHttp(undefined, certificate);
  const ca = certificate.certificatePem;
  const { push, failures } = pushing({ url: server.url });
  await push.finish(5000);
  expect(failures[0]).toMatch(/^cannot push the metrics to https:\/\/127\.0\.0\.1:\d+: .*self-signed certificate/);
  expect(await tellToQuit(server.url, { timeoutMs: 5000 })).toContain("self-signed certificate");
  expect(server.received).toEqual([]);

  const trusting = pushing({ url: server.url, ca });
  await trusting.push.finish(5000);
  expect([trusting.failures, server.received.length]).toEqual([[], 2]);
  expect(await tellToQuit(`${server.url}/quit`, { timeoutMs: 5000, ca })).toBeUndefined();
  expect(server.received.at(-1)).toMatchObject({ method: "POST", url: "/quit" });
});

test("what must not be shown of a URL is its password, as written, as meant, and as it is sent", () => {
  expect(secretsOfUrl("http://u:p%40ss@h")).toEqual(["p%40ss", "p@ss", Buffer.from("u:p@ss").toString("base64")]);
  expect(secretsOfUrl("http://u:100%@h")).toContain("100%");
  expect(secretsOfUrl("http://h")).toEqual([]);
  expect(secretsOfUrl(undefined)).toEqual([]);
});

test("a sidecar is told to quit by one empty POST", async () => {
  await using sidecar = await recordHttp();
  expect(await tellToQuit(`${sidecar.url}/quitquitquit?x=1`, { timeoutMs: 2000 })).toBeUndefined();
  expect(sidecar.received).toEqual([{ method: "POST", url: "/quitquitquit?x=1", authorization: undefined, body: "" }]);
});

test("a sidecar that refuses, is silent or is not there is a sentence for a warning", async () => {
  await using refusing = await recordHttp((response) => response.writeHead(405).end());
  expect(await tellToQuit(refusing.url, { timeoutMs: 2000 })).toBe(
    `cannot tell ${refusing.url} to quit (--quit-url): it answered 405`,
  );
  await using silent = await recordHttp(() => {});
  expect(await tellToQuit(silent.url, { timeoutMs: 100 })).toMatch(
    /^cannot tell .* to quit \(--quit-url\): it took too long$/,
  );
  await silent[Symbol.asyncDispose]();
  expect(await tellToQuit(silent.url, { timeoutMs: 2000 })).toContain("ECONNREFUSED");
});
