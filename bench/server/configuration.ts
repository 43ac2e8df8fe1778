import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { StoredFile } from "./data-set.ts";

/** What nginx is to do besides serving files. */
export interface ServeOptions {
  /** Time between each request and its answer. */
  readonly latencyMs?: number;
  /** File for one line per answer: when it ended, how long it took, and the bytes of its body. */
  readonly logFile?: string;
}

export interface Site extends ServeOptions {
  readonly bucket: string;
  readonly virtualHost: string;
  readonly directory: string;
  readonly ports: Readonly<{ http: number; https: number; listing: number }>;
  readonly files: readonly StoredFile[];
}

export function nginxProgram(): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/usr/local/sbin"];
  return folders.map((folder) => join(folder, "nginx")).find((path) => existsSync(path));
}

/** A worker without a descriptor left accepts no connection and says so only in its log. */
function mostCachedFiles(): number {
  const most = Number(/^Max open files +\S+ +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? 65_536);
  return Math.min(30_000, Math.floor(most / 2));
}

/** The text of nginx.conf; nginx runs in `site.directory`. */
export function configuration(site: Site): string {
  const { bucket, virtualHost, directory, ports, files, latencyMs = 0, logFile } = site;
  const certificateFile = join(directory, "certificate.pem");
  const crcs = files.map(({ key, crc64 }) => `"/${bucket}/${key}" ${crc64};`).join("\n");
  const listen = (more: string): string =>
    `listen 127.0.0.1:${ports.http} ${more}; listen 127.0.0.1:${ports.https} ssl ${more};`;
  const root = join(directory, "files");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((n) => `${n}_temp_path tmp;`).join(" ");
  const log = logFile === undefined ? "off" : `${logFile} answers`;
  return `
${latencyMs > 0 ? `load_module ${echoModule()};` : ""}
daemon off; pid nginx.pid; worker_processes 2; worker_rlimit_nofile 65536; ${process.getuid?.() === 0 ? "user root;" : ""}
events { worker_connections 8192; }
http {
  ${temporary}
  log_format answers "$msec $request_time $body_bytes_sent"; access_log ${log};
  sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_requests 100000000; keepalive_timeout 600s; open_file_cache max=${mostCachedFiles()} inactive=600s; open_file_cache_valid 600s;
  map_hash_max_size 262144; map_hash_bucket_size 256;
  map $uri $crc { default ""; ${crcs} }
  upstream listing { server 127.0.0.1:${ports.listing}; keepalive 8; }
  ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate ${certificateFile}; ssl_certificate_key ${certificateFile}; ssl_session_cache shared:tls:10m;
  default_type application/octet-stream;
  add_header x-oss-hash-crc64ecma $crc; add_header x-oss-object-type Multipart; add_header x-oss-request-id $request_id;
  proxy_http_version 1.1; proxy_set_header Connection "";
  server {
    ${listen("default_server")}
    root ${root};
    ${locations([`/${bucket}`, `/${bucket}/`], latencyMs)}
  }
  server {
    ${listen("")}
    server_name ${virtualHost};
    root ${root}/${bucket};
    ${locations(["/"], latencyMs)}
  }
}
`;
}

/** Where listings and files are; nginx waits on a timer, so that it serves others meanwhile. */
function locations(listings: readonly string[], latencyMs: number): string {
  const wait = (then: string): string => `{ echo_sleep ${latencyMs / 1000}; echo_exec ${then}; }`;
  const proxied = "{ proxy_pass http://listing; }";
  if (latencyMs === 0) return listings.map((path) => `location = ${path} ${proxied}`).join("\n");
  return [
    ...listings.map((path) => `location = ${path} ${wait("@listing")}`),
    `location / ${wait("@file")}`,
    `location @listing ${proxied}`,
    "location @file { }",
  ].join("\n");
}

function echoModule(): string {
  const built = spawnSync(nginxProgram() ?? "nginx", ["-V"], { encoding: "utf8" }).stderr;
  const path = join(/--modules-path=(\S+)/.exec(built)?.[1] ?? "/usr/lib/nginx/modules", "ngx_http_echo_module.so");
  if (!existsSync(path)) throw new Error(`nginx's echo module is not at ${path} (bench/peers/install gets it)`);
  return path;
}
