import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Certificate, makeCertificate } from "../../test/emulator/certificate.ts";
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

  /** Serves these files, under `prefix`, instead of the ones before. */
  async serve(prefix: string, batches: readonly Batch[]): Promise<readonly StoredFile[]> {
    const root = join(this.#directory, "files", bucket);
    await this.#stop();
    await rm(root, { recursive: true, force: true });
    const files = await writeDataSet(root, prefix, batches);
    this.#listing.files = files;
    await writeFile(join(this.#directory, "nginx.conf"), this.#configuration(files));
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

  async #stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  }

  #configuration(files: readonly StoredFile[]): string {
    const certificateFile = join(this.#directory, "certificate.pem");
    const crcs = files.map(({ key, crc64 }) => `"/${bucket}/${key}" ${crc64};`).join("\n");
    const listen = (more: string): string =>
      `listen 127.0.0.1:${this.#ports.http} ${more}; listen 127.0.0.1:${this.#ports.https} ssl ${more};`;
    const root = join(this.#directory, "files");
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((n) => `${n}_temp_path tmp;`).join(" ");
    return `
daemon off; pid nginx.pid; worker_processes 2; worker_rlimit_nofile 65536; ${process.getuid?.() === 0 ? "user root;" : ""}
events { worker_connections 8192; }
http {
  ${temporary}
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_requests 100000000; keepalive_timeout 600s; open_file_cache max=30000 inactive=600s; open_file_cache_valid 600s;
  map_hash_max_size 262144; map_hash_bucket_size 256;
  map $uri $crc { default ""; ${crcs} }
  upstream listing { server 127.0.0.1:${this.#listing.port}; keepalive 8; }
  ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate ${certificateFile}; ssl_certificate_key ${certificateFile}; ssl_session_cache shared:tls:10m;
  default_type application/octet-stream;
  add_header x-oss-hash-crc64ecma $crc; add_header x-oss-object-type Multipart; add_header x-oss-request-id $request_id;
  proxy_http_version 1.1; proxy_set_header Connection "";
  server {
    ${listen("default_server")}
    root ${root};
    location = /${bucket} { proxy_pass http://listing; }
    location = /${bucket}/ { proxy_pass http://listing; }
  }
  server {
    ${listen("")}
    server_name ${virtualHost};
    root ${root}/${bucket};
    location = / { proxy_pass http://listing; }
  }
}
`;
  }
}

export function nginxProgram(): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/usr/local/sbin"];
  return folders.map((folder) => join(folder, "nginx")).find((path) => existsSync(path));
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
