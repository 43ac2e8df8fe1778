import { Command, InvalidArgumentError, Option } from "commander";
import { addDemoSet } from "./demo-set.ts";
import { type Fault, faultKinds, parseFault } from "./faults.ts";
import { addPresets, type Batch, parseBatch } from "./presets.ts";
import { DEFAULT_CREDENTIAL, Emulator } from "./server.ts";
import { StsServer } from "./sts.ts";

/** What commander makes of the flags below. */
interface Flags {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly tlsName: readonly string[];
  readonly region: string;
  readonly bucket: string;
  readonly prefix: string;
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  readonly anonymous: boolean;
  readonly crc: boolean;
  readonly contentMd5: boolean;
  readonly virtualHostOnly: boolean;
  readonly latencyMs: number;
  readonly clockOffsetMs: number;
  readonly small: readonly Batch[];
  readonly large: readonly Batch[];
  readonly keys: number;
  readonly demo: boolean;
  readonly seed: number;
  readonly md5: boolean;
  readonly fault: readonly Fault[];
  readonly sts: boolean;
  readonly stsLifetime?: number;
  readonly requestLog: number;
}

function number(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value)) throw new InvalidArgumentError("It is not a number.");
  return value;
}

/** For a repeatable option; what `read` throws becomes the complaint about it. */
function collect<T>(read: (text: string) => T): (text: string, before: readonly T[]) => readonly T[] {
  return (text, before) => {
    try {
      return [...before, read(text)];
    } catch (error) {
      throw new InvalidArgumentError(String(error));
    }
  };
}

function command(): Command {
  return new Command("emulator")
    .description("An Alibaba Cloud OSS server on this machine. Prints one line of JSON when it is ready.")
    .option("--host <HOST>", "address to listen on", "127.0.0.1")
    .option("--port <PORT>", "port, 0 for a free one", number, 0)
    .option("--tls", "HTTPS with a self-signed certificate", false)
    .option("--tls-name <NAME>", "further host name in the certificate (repeatable)", collect(String), [])
    .option("--region <REGION>", "region that V4 signatures must name", "cn-hangzhou")
    .option("--bucket <NAME>", "bucket of the objects", "demo-bucket")
    .option("--prefix <PREFIX>", "before the keys of --small, --large and --keys", "")
    .option(
      "--small <COUNTxSIZE>",
      "objects in directories of 1000, sizes as 16KiB or 1KiB-64KiB",
      collect(parseBatch),
      [],
    )
    .option("--large <COUNTxSIZE>", "objects in one directory", collect(parseBatch), [])
    .option("--keys <N>", "objects of 1 KiB for listings", number, 0)
    .option("--demo", "the data set of the demo, under dataset/", false)
    .option("--seed <N>", "seed of generated content", number, 1)
    .option("--md5", "ETags of small objects are their MD5", false)
    .option("--access-key-id <ID>", "", DEFAULT_CREDENTIAL.accessKeyId)
    .option("--access-key-secret <SECRET>", "", DEFAULT_CREDENTIAL.accessKeySecret)
    .option("--anonymous", "buckets may be read without a signature", false)
    .option("--no-crc", "leave x-oss-hash-crc64ecma out")
    .option("--content-md5", "send Content-MD5 for Normal objects", false)
    .option("--virtual-host-only", "refuse path style", false)
    .option("--latency-ms <MS>", "wait before every answer", number, 0)
    .option("--clock-offset-ms <MS>", "added to the server's clock", number, 0)
    .option(
      "--fault <JSON>",
      `such as {"kind":"status","status":503,"nth":3}; kinds: ${faultKinds.join(", ")}`,
      collect(fault),
      [],
    )
    .option("--sts", "also an STS server and a credentials URI", false)
    .addOption(new Option("--sts-lifetime <SECONDS>", "lifetime of its credentials").argParser(number))
    .option("--request-log <N>", "requests that the control interface remembers", number, 10_000);
}

function fault(text: string): Fault {
  return parseFault(JSON.parse(text));
}

async function main(): Promise<void> {
  const flags = command().parse().opts<Flags>();
  await using emulator = await startEmulator(flags);
  await using sts = flags.sts ? await startSts(flags, emulator) : undefined;
  let objects = addPresets(emulator, flags);
  if (flags.demo) objects += addDemoSet(emulator.bucket(flags.bucket)).objects;
  const ready = {
    pid: process.pid,
    url: emulator.url,
    endpoint: emulator.endpoint,
    port: emulator.port,
    bucket: flags.bucket,
    region: flags.region,
    accessKeyId: flags.accessKeyId,
    accessKeySecret: flags.accessKeySecret,
    caFile: emulator.caFile ?? null,
    objects,
    sts: sts === undefined ? null : describeSts(sts),
  };
  const stopped = signalled();
  process.stdout.write(`${JSON.stringify(ready)}\n`);
  await stopped;
}

function startEmulator(flags: Flags): Promise<Emulator> {
  const { host, port, region, anonymous, crc, contentMd5, latencyMs, clockOffsetMs } = flags;
  return Emulator.start({
    ...{ host, port, region, anonymous, crc, contentMd5, latencyMs, clockOffsetMs },
    tls: flags.tls ? { names: flags.tlsName } : false,
    buckets: [flags.bucket],
    credentials: [{ accessKeyId: flags.accessKeyId, accessKeySecret: flags.accessKeySecret }],
    addressing: flags.virtualHostOnly ? "virtual" : "any",
    faults: flags.fault,
    requestLogLimit: flags.requestLog,
  });
}

function startSts({ host, stsLifetime, tlsName }: Flags, emulator: Emulator): Promise<StsServer> {
  const lifetime = stsLifetime === undefined ? {} : { lifetimeSeconds: stsLifetime };
  return StsServer.start({ emulator, host, names: tlsName, ...lifetime });
}

function describeSts({ endpoint, credentialsUri, caFile, oidcToken, roleArn, oidcProviderArn }: StsServer) {
  return { endpoint, credentialsUri, caFile, oidcToken, roleArn, oidcProviderArn };
}

/** Resolves at SIGTERM or SIGINT. */
async function signalled(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  process.once("SIGTERM", () => resolve());
  process.once("SIGINT", () => resolve());
  await promise;
}

await main();
