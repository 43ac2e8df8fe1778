import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { expect, test } from "vitest";
import { generatedSlices } from "./content.ts";
import { startEmulatorProcess } from "./process.ts";
import { rawRequest } from "./raw-client.ts";

test("an emulator in a child process serves what its flags say and is steered over HTTP", async () => {
  const flags = ["--anonymous", "--small", "20x4KiB", "--large", "2x3MiB", "--keys", "1000000", "--no-crc"];
  await using child = await startEmulatorProcess([...flags, "--fault", '{"kind":"status","status":503,"nth":1}']);
  const { ready, control } = child;
  expect(ready).toMatchObject({ bucket: "demo-bucket", objects: 1_000_022, caFile: null, sts: null });
  const ask = (path: string) => rawRequest({ port: ready.port, path });

  expect((await ask("/demo-bucket/small/00/0003.bin")).status).toBe(503);
  const small = await ask("/demo-bucket/small/00/0003.bin");
  const expected = generatedSlices({ seed: 1, key: "small/00/0003.bin", sizeBytes: 4096 });
  expect(small.body.equals(Buffer.concat([...expected]))).toBe(true);
  expect(small.headers.has("x-oss-hash-crc64ecma")).toBe(false);
  expect((await ask("/demo-bucket/large/0001.bin")).body.length).toBe(3 * 2 ** 20);
  expect((await ask("/demo-bucket?list-type=2&prefix=keys/&max-keys=1000")).body.toString()).toContain(
    "keys/000/000999.bin",
  );

  expect(await control.counters()).toMatchObject({ get: 3, list: 1, byStatus: { 200: 3, 503: 1 } });
  expect((await control.requests()).map(({ status }) => status)).toEqual([503, 200, 200, 200]);
  expect(await control.bytesSentPerSecond()).toEqual(expect.any(Array));
  await control.resetCounters();
  expect((await control.counters()).get).toBe(0);

  await control.putObject("demo-bucket", "put me/中", "data", { storageClass: "Archive" });
  await control.addFaults({ kind: "flipBit", at: 0, key: /large\// });
  expect((await ask("/demo-bucket/put%20me/%E4%B8%AD")).body.toString()).toContain("InvalidObjectState");
  const flipped = await ask("/demo-bucket/large/0000.bin");
  await control.clearFaults();
  const right = await ask("/demo-bucket/large/0000.bin");
  expect(Number(flipped.body[0]) ^ Number(right.body[0])).toBe(1);
  await control.replaceObject("demo-bucket", "large/0000.bin", 5);
  expect((await ask("/demo-bucket/large/0000.bin")).body.length).toBe(5);
  await control.deleteObject("demo-bucket", "large/0000.bin");
  expect((await ask("/demo-bucket/large/0000.bin")).status).toBe(404);
  await control.setClockOffset(-86_400_000);
  expect(Date.parse((await ask("/demo-bucket/x")).headers.get("date") ?? "")).toBeLessThan(Date.now() - 80_000_000);
  await expect(control.addFaults(JSON.parse('{"kind":"nonsense"}'))).rejects.toThrow("unknown kind of fault");
});

test("a child may use TLS and bring an STS server, and ends on SIGTERM", async () => {
  const child = await startEmulatorProcess(["--tls", "--sts", "--sts-lifetime", "60"]);
  const { ready, control } = child;
  expect(ready.url).toMatch(/^https:/);
  expect(await control.counters()).toMatchObject({ connections: 1 });
  const sts = ready.sts;
  const form = new URLSearchParams({
    ...{ Action: "AssumeRoleWithOIDC", Version: "2015-04-01", OIDCToken: `${sts?.oidcToken}\n` },
    ...{ RoleArn: sts?.roleArn ?? "", OIDCProviderArn: sts?.oidcProviderArn ?? "" },
  });
  const ca = await readFile(sts?.caFile ?? "");
  const call = request(`https://${sts?.endpoint}/`, { method: "POST", ca, agent: false });
  call.end(form.toString());
  const [response] = (await once(call, "response")) as [IncomingMessage];
  expect(response.statusCode).toBe(200);
  response.resume();
  await child[Symbol.asyncDispose]();
  expect(() => process.kill(ready.pid, 0)).toThrow("ESRCH");
});

test("wrong flags end the child with a sentence", async () => {
  await expect(startEmulatorProcess(["--small", "5"])).rejects.toThrow("COUNTxSIZE");
});
