import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Certificate, makeCertificate } from "../../test/emulator/certificate.ts";
import { configuration, nginxProgram, type ServeOptions } from "./configuration.ts";
import { type Batch, type StoredFile, writeDataSet } from "./data-set.ts";
import { ListingServer } from "./listing-server.ts";

export const bucket = "bench-bucket";
/** The host that ali-oss names, whatever it connects to. */
const virtualHost = `${bucket}.oss-cn-hangzhou.aliyuncs.com`;
const startTimeoutMs = 20_000;

/** Where a client finds the objects. */
export interface Served {
  readonly url: string;
  readonly port: number;
  readonly caFile: string | undefined;
}

/**
 * Object bodies from files by nginx, which no client here outruns; listings from a process-local server behind it. It
 * checks no signature, and knows the CRC-64 of each file from a table.
 */
export class FileServer implements AsyncDisposable {
  readonly #directory: string;
  readonly #listing: ListingServer;
  readonly #certificate: Certificate;
  readonly #ports: { readonly http: number; readonly https: number };
  #child: ChildProcess | undefined;

  private constructor(directory: string, listing: ListingServer, certificate: Certificate, ports: [number, number]) {
    this.#directory = directory;
    this.#listing = listing;
    this.#certificate = certificate;
    this.#ports = { http: ports[0], https: ports[1] };
  }

  static async start(directory: string): Promise<FileServer> {
    await mkdir(join(directory, "files", bucket), { recursive: true });
    const [listing, certificate] = await Promise.all([ListingServer.start(bucket), makeCertificate([virtualHost])]);
    // nginx reads key and certificate from one file of its folder.
    const pem = certificate.keyPem + certificate.certificatePem;
    await writeFile(join(directory, "certificate.pem"), pem, { mode: 0o600 });
    return new FileServer(directory, listing, certificate, [await freePort(), await freePort()]);
  }

  get http(): Served {
    return { url: `http://127.0.0.1:${this.#ports.http}`, port: this.#ports.http, caFile: undefined };
  }

  get https(): Served {
    const { caFile } = this.#certificate;
    return { url: `https://127.0.0.1:${this.#ports.https}`, port: this.#ports.https, caFile };
  }

  /** Serves the files of these sets, each under its prefix, instead of the ones before. */
  async serve(
    sets: Readonly<Record<string, readonly Batch[]>>,
    options: ServeOptions = {},
  ): Promise<readonly StoredFile[]> {
    const root = join(this.#directory, "files", bucket);
    await this.#stop();
    await rm(root, { recursive: true, force: true });
    const files: StoredFile[] = [];
    for (const [prefix, batches] of Object.entries(sets)) files.push(...(await writeDataSet(root, prefix, batches)));
    files.sort((a, b) => (a.key < b.key ? -1 : 1));
    this.#listing.files = files;
    await writeFile(join(this.#directory, "nginx.conf"), this.#configuration(files, options));
    const config = ["-p", this.#directory, "-e", join(this.#directory, "error.log"), "-c", "nginx.conf"];
    const child = spawn(nginxProgram() ?? "nginx", config, { stdio: ["ignore", "ignore", "inherit"] });
    const kill = (): void => {
      child.kill("SIGTERM");
    };
    process.once("exit", kill); // Not to outlive a bench that is interrupted.
    child.once("exit", () => process.off("exit", kill));
    this.#child = child;
    await waitForPort(this.#ports.http);
    return files;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
    await this.#listing[Symbol.asyncDispose]();
    await this.#certificate[Symbol.asyncDispose]();
  }

  #configuration(files: readonly StoredFile[], options: ServeOptions): string {
    const ports = { ...this.#ports, listing: this.#listing.port };
    return configuration({ ...options, bucket, virtualHost, directory: this.#directory, ports, files });
  }

  async #stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // A TCP server that listens.
  server.close();
  await once(server, "close");
  return port;
}

async function waitForPort(port: number): Promise<void> {
  for (const deadline = Date.now() + startTimeoutMs; Date.now() < deadline; await sleep(50)) {
    const socket = connect(port, "127.0.0.1");
    try {
      await once(socket, "connect");
      return;
    } catch {
      // Not yet.
    } finally {
      socket.destroy();
    }
  }
  throw new Error(`nothing listens on port ${port}`);
}
