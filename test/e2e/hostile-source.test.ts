import { readdir, readFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { expect, test } from "vitest";
import { listen, type Received, rawServer } from "../contract/transport-server.ts";
import { type CliResult, startCli, tracesAt } from "./support/cli.ts";
import { expectRefusal } from "./support/refusal.ts";
import { bucketName, credentials, openScene, type Verb } from "./support/scene.ts";
import { makeScratch } from "./support/scratch.ts";
import { peakRssOf } from "./support/waiting.ts";

const prefix = "data/";
const steeringNames = [
  "\u001b[31mred",
  "\u001b]0;title\u0007",
  "line\n{}",
  "cr\rback",
  "\u009b31m",
  "\u202egpj.exe",
  "\u200f\u061cx",
];
/** What must never reach a terminal or a log as it is; line ends are the log's own. */
const steering = /[^\P{Cc}\n]|[\p{Zl}\p{Zp}\p{Bidi_Control}]/u;

test("keys that would steer a terminal are shown escaped, whatever becomes of them, and arrive as they are", async () => {
  await using scene = await openScene();
  for (const name of steeringNames) scene.emulator.putObject(bucketName, prefix + name, name);
  for (const format of ["json", "text"]) {
    const target = await scene.scratch.directory(format);
    scene.emulator.addFaults({ kind: "status", status: 404, ossCode: "NoSuchKey", operation: "get" });
    const args = ["--log-format", format, "--log-level", "debug"];
    const failed = await scene.run("copy", args, { target });
    expect(failed.exitCode).toBe(4);
    for (const text of [failed.stderr, failed.terminationLog ?? ""]) expect(text).not.toMatch(steering);
    expect(failed.stderr).toContain("gpj.exe");
    scene.emulator.clearFaults();
    const fine = await scene.run("copy", args, { target });
    expect(fine.exitCode).toBe(0);
    expect(fine.stderr).not.toMatch(steering);
    expect((await readdir(target)).sort()).toEqual([...steeringNames].sort());
  }
  const report = await readFile(`${scene.scratch.path}/run-1.report.json`, "utf8");
  expect(report).not.toMatch(steering);
});

test("options that would steer a terminal are shown escaped when they are refused", async () => {
  const odd = "\u009b31m\u202ex\u001b[2J";
  for (const format of ["json", "text"]) {
    const args = ["copy", `oss://bucket/${odd}`, "/nowhere", "--throughput", odd, `--${odd}`, "--log-format", format];
    const { exitCode, stderr } = await startCli(args).result;
    expect(exitCode).toBe(2);
    expect(stderr).toContain("throughput");
    expect(stderr).not.toMatch(steering);
  }
});

/** A run against a server that writes what it likes. */
async function runAgainst(
  respond: (received: Received) => void,
  {
    verb = "copy",
    args = [],
    env = credentials,
  }: { verb?: Verb; args?: readonly string[]; env?: Record<string, string> } = {},
): Promise<CliResult & { readonly heads: readonly string[]; readonly peakBytes: number }> {
  await using scratch = await makeScratch();
  await using server = await rawServer(respond, "http");
  const target = await scratch.directory("target");
  const traces = tracesAt(`${scratch.path}/run`);
  const source =
    verb === "populate"
      ? ["--bucket", bucketName, "--path", prefix, "--target", target]
      : [`oss://${bucketName}/${prefix}`, target];
  const common = ["--endpoint", `http://127.0.0.1:${server.port}`, "--region", "cn-hangzhou", "--fail-hold", "0s"];
  const outputs = ["--report", traces.report, "--termination-log", traces.terminationLog];
  const all = [verb, ...source, ...common, ...outputs, "--retries", "1", "--log-level", "debug", ...args];
  await using run = startCli(all, { env, traces });
  const peakBytes = await peakRssOf(run);
  return { ...(await run.result), heads: server.heads, peakBytes };
}

const entryXml = (key: string, size = 5): string =>
  `<Contents><Key>${key}</Key><LastModified>2024-02-29T23:59:58.000Z</LastModified><ETag>"5B3C"</ETag><Type>Normal</Type><Size>${size}</Size><StorageClass>Standard</StorageClass></Contents>`;
const listingXml = (inner: string): string =>
  `<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>${inner}</ListBucketResult>`;
const answer = (status: string, body: string, headers = ""): string =>
  `HTTP/1.1 ${status}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
const isListing = ({ head }: Received): boolean => head.includes("list-type=2");

/** Writes a text again and again, so many bytes in all, as fast as it is read. */
function pour({ socket }: Received, head: string, text: string, bytes: number): void {
  socket.write(head);
  let left = bytes;
  const more = (): void => {
    while (left > 0 && !socket.destroyed) {
      left -= text.length;
      if (!socket.write(text)) return void socket.once("drain", more);
    }
  };
  more();
}

const endless: Record<string, readonly [head: string, text: string]> = {
  "a listing of 100 MB": ["<ListBucketResult>", entryXml("data/a").repeat(100)],
  "a key of 100 MB": ["<ListBucketResult><Contents><Key>", "k".repeat(65_536)],
};

for (const [what, [head, text]] of Object.entries(endless)) {
  test.concurrent(`${what} is given up with bounded memory`, { timeout: 60_000 }, async () => {
    const result = await runAgainst((received) => {
      pour(received, `HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n${head}`, text, 100_000_000);
    });
    expectRefusal(result, 7, "the listing is longer than");
    expect(result.peakBytes).toBeLessThan(250e6);
  });
}

test.concurrent("refusals of 100 MB, for a listing or an object, are judged by their beginning", async () => {
  const error = "<Error><Code>InternalError</Code><Message>long";
  const big = (received: Received): void =>
    pour(received, `HTTP/1.1 500 No\r\nContent-Length: 100000000\r\n\r\n${error}`, "x".repeat(65_536), 100_000_000);
  const listing = await runAgainst(big);
  expectRefusal(listing, 7, "500");
  const object = await runAgainst((received) => {
    if (isListing(received)) received.socket.write(answer("200 OK", listingXml(entryXml("data/a"))));
    else big(received);
  });
  expectRefusal(object, 7, "500", "data/a");
  for (const { peakBytes, heads } of [listing, object]) {
    expect(peakBytes).toBeLessThan(250e6);
    expect(heads.length).toBeLessThan(6);
  }
});

test.concurrent("documents with entities and declarations of their own are refused", async () => {
  const bomb = `<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>${listingXml(entryXml("data/&b;")).slice(21)}`;
  const external = `<?xml version="1.0"?><!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]>${listingXml(entryXml("data/&x;")).slice(21)}`;
  for (const document of [bomb, external, listingXml(entryXml("data/&toString;"))]) {
    const result = await runAgainst(({ socket }) => socket.write(answer("200 OK", document)));
    expectRefusal(result, 7, "the listing is malformed");
  }
});

test.concurrent("what a server writes into heads and errors is shown escaped, and no secret of the request with it", async () => {
  const headers = "x-oss-request-id: \u009b31mR\r\nx-oss-ec: \u009b2J\r\nServer: \u0085\r\n";
  const body = "<Error><Code>\u001b[31mDenied</Code><Message>a\r\n{\u202eb}\u0007</Message></Error>";
  for (const format of ["json", "text"]) {
    const head = `HTTP/1.1 403 Forbidden\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${headers}\r\n`;
    const respond = ({ socket }: Received) =>
      socket.write(Buffer.concat([Buffer.from(head, "latin1"), Buffer.from(body)]));
    const result = await runAgainst(respond, {
      args: ["--log-format", format],
    });
    expectRefusal(result, 3, "Denied");
    for (const text of [result.stderr, result.terminationLog ?? ""]) expect(text).not.toMatch(steering);
  }
});

for (const [status, ofObjects] of [
  ["301 Moved Permanently", false],
  ["302 Found", true],
  ["307 Temporary Redirect", false],
  ["308 Permanent Redirect", true],
] as const) {
  test.concurrent(`a ${status} is not followed, and its target is named without what may be secret`, async () => {
    await using elsewhere = await rawServer(({ socket }) => socket.write(answer("200 OK", "")), "http");
    const location = `Location: http://user:hunter2@127.0.0.1:${elsewhere.port}/x?x-oss-signature=hunter2\r\n`;
    const redirect = ({ socket }: Received) => socket.write(answer(status, "", location));
    // The listing, or the first object.
    const result = await runAgainst((received) => {
      const listed = ofObjects && isListing(received);
      if (listed) received.socket.write(answer("200 OK", listingXml(entryXml("data/a"))));
      else redirect(received);
    });
    expectRefusal(result, 3, "redirects", `127.0.0.1:${elsewhere.port}`);
    expect(result.stderr + result.terminationLog).not.toContain("hunter2");
    expect(elsewhere.heads).toEqual([]);
  });
}

test.concurrent("a server that repeats whatever it was sent gets no secret into any output", async () => {
  const issued = {
    AccessKeyId: "STS.NU",
    AccessKeySecret: "issued-secret/+x",
    SecurityToken: "issued-token/+with=signs",
  };
  const issuer = createHttpServer((_, response) => {
    const Expiration = new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+/, "");
    response.end(JSON.stringify({ Code: "Success", ...issued, Expiration }));
  });
  const port = await listen(issuer);
  /** Each header alone, as much of a message as is ever shown, and all of them. */
  const echo = ({ socket, head }: Received): void => {
    const lines = head.split("\r\n").map((line) => line.replaceAll(/[<>&]/g, ""));
    const value = (name: string): string =>
      lines.find((line) => line.toLowerCase().startsWith(name))?.slice(name.length + 1) ?? "";
    const bare = [value("x-oss-security-token"), value("authorization"), ...lines];
    const message = bare.slice(turn++ % 3).join(" ");
    const body = `<Error><Code>AccessDenied</Code><Message>${message}</Message></Error>`;
    socket.write(answer("403 Forbidden", body, `x-oss-request-id: ${bare[0]}\r\nx-oss-ec: ${bare[1]}\r\n`));
  };
  let turn = 0;
  const envs = [
    { ...credentials, ALIBABA_CLOUD_SECURITY_TOKEN: "env-token/+with=signs" },
    { ALIBABA_CLOUD_CREDENTIALS_URI: `http://127.0.0.1:${port}/` },
  ];
  try {
    for (const env of envs) {
      for (const args of [["--signature", "v1"], ["--log-format", "text"], []]) {
        const result = await runAgainst(echo, { env, args });
        expect(result.exitCode).toBe(3);
        const sent = /authorization: .*?(?:Signature=|:)(\S+)/is.exec(result.heads[0] ?? "")?.[1] ?? "none";
        const secrets = [
          sent,
          issued.AccessKeySecret,
          issued.SecurityToken,
          ...Object.values(env).filter((value) => value.includes("token")),
        ];
        const outputs = [result.stderr, result.terminationLog ?? "", JSON.stringify(result.report)];
        for (const text of outputs) for (const secret of secrets) expect(text.includes(secret), secret).toBe(false);
      }
    }
  } finally {
    issuer.close();
  }
});
