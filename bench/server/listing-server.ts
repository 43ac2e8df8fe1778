import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { StoredFile } from "./data-set.ts";

/**
 * Answers ListObjects and ListObjectsV2, for OSS and for S3 clients, whose documents agree in all that is used here.
 * Keys must consist of letters, digits, `/`, `-` and `.`: nothing is escaped.
 */
export class ListingServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #bucket: string;
  #files: readonly StoredFile[] = [];

  private constructor(bucket: string) {
    this.#bucket = bucket;
    this.#server = createServer((request, response) => {
      const body = this.#page(new URL(request.url ?? "", "http://listing").searchParams);
      response.writeHead(200, { "content-type": "application/xml", "content-length": Buffer.byteLength(body) });
      response.end(request.method === "HEAD" ? undefined : body);
    });
    this.#server.keepAliveTimeout = 600_000;
  }

  static async start(bucket: string): Promise<ListingServer> {
    const listing = new ListingServer(bucket);
    listing.#server.listen(0, "127.0.0.1");
    await once(listing.#server, "listening");
    return listing;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port; // A TCP server that listens.
  }

  /** `files` in ascending order of keys. */
  set files(files: readonly StoredFile[]) {
    this.#files = files;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  #page(query: URLSearchParams): string {
    const isV2 = query.get("list-type") === "2";
    const prefix = query.get("prefix") ?? "";
    const after = (isV2 ? query.get("continuation-token") || query.get("start-after") : query.get("marker")) ?? "";
    const maxKeys = Math.min(1000, Number(query.get("max-keys") || 1000));
    const rest = this.#files.filter(({ key }) => key > after && key.startsWith(prefix));
    const { files, folders } = group(rest, prefix, query.get("delimiter") ?? "", after);
    const shown = files.slice(0, maxKeys);
    const next = files.length > maxKeys ? (shown.at(-1)?.key ?? "") : "";
    const fields = {
      Name: this.#bucket,
      Prefix: prefix,
      ...(isV2 ? { KeyCount: shown.length + folders.length, NextContinuationToken: next } : { NextMarker: next }),
      MaxKeys: maxKeys,
      IsTruncated: next !== "",
    };
    const head = Object.entries(fields).map(([name, value]) => (value === "" ? "" : `<${name}>${value}</${name}>`));
    const common = folders.map((folder) => `<CommonPrefixes><Prefix>${folder}</Prefix></CommonPrefixes>`);
    const contents = shown.map(content).join("");
    return `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult>${head.join("")}${contents}${common.join("")}</ListBucketResult>`;
  }
}

/** nginx's own ETag. */
export function etagOf({ modifiedMs, sizeBytes }: StoredFile): string {
  return `${(modifiedMs / 1000).toString(16)}-${sizeBytes.toString(16)}`;
}

function content(file: StoredFile): string {
  return (
    `<Contents><Key>${file.key}</Key><LastModified>${new Date(file.modifiedMs).toISOString()}</LastModified>` +
    `<ETag>"${etagOf(file)}"</ETag><Type>Multipart</Type><Size>${file.sizeBytes}</Size><StorageClass>Standard</StorageClass></Contents>`
  );
}

/** All folders stand on the first page. */
function group(
  files: readonly StoredFile[],
  prefix: string,
  delimiter: string,
  after: string,
): { files: readonly StoredFile[]; folders: string[] } {
  if (delimiter === "") return { files, folders: [] };
  const folders = new Set<string>();
  const flat = files.filter(({ key }) => {
    const at = key.indexOf(delimiter, prefix.length);
    if (at >= 0) folders.add(key.slice(0, at + delimiter.length));
    return at < 0;
  });
  return { files: flat, folders: after === "" ? [...folders] : [] };
}
