import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { crcDecimal, crcOf } from "../emulator/crc64.ts";

export interface EqualObjectsOptions {
  readonly bucket: string;
  readonly prefix: string;
  readonly objects: number;
  readonly sizeBytes: number;
  /** All in one unless given. */
  readonly perDirectory?: number | undefined;
}

const etag = '"0123456789ABCDEF0123456789ABCDEF-1"';
const maxKeys = 1000;

/**
 * A server of very many objects that are all alike: it checks no signature and no condition, and takes less time than the
 * program that reads from it.
 */
export class EqualObjects implements AsyncDisposable {
  readonly #server: Server;
  readonly #options: EqualObjectsOptions;
  readonly #sockets = new Set<Socket>();
  readonly #answer: Buffer;
  /** Objects that were asked for, and keys that were listed. */
  gets = 0;
  listed = 0;

  private constructor(options: EqualObjectsOptions) {
    this.#options = options;
    const body = Buffer.alloc(options.sizeBytes, "x");
    const head = [
      ...["HTTP/1.1 200 OK", "Server: AliyunOSS", `Content-Length: ${body.length}`, `ETag: ${etag}`],
      ...["Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT", "x-oss-object-type: Multipart"],
      ...[`x-oss-hash-crc64ecma: ${crcDecimal(crcOf(body))}`, "", ""],
    ];
    this.#answer = Buffer.concat([Buffer.from(head.join("\r\n")), body]);
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async start(options: EqualObjectsOptions): Promise<EqualObjects> {
    const started = new EqualObjects(options);
    started.#server.listen(0, "127.0.0.1");
    await once(started.#server, "listening");
    return started;
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo; // a TCP server that listens has no other kind
    return `http://127.0.0.1:${port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket)).on("error", () => {});
    let pending = "";
    socket.on("data", (chunk) => {
      pending += chunk.toString("latin1");
      for (let end = pending.indexOf("\r\n\r\n"); end >= 0; end = pending.indexOf("\r\n\r\n")) {
        const line = pending.slice(0, pending.indexOf("\r\n"));
        pending = pending.slice(end + 4);
        socket.write(this.#answerTo(line));
      }
    });
  }

  #answerTo(requestLine: string): Buffer {
    const url = new URL(requestLine.split(" ")[1] ?? "/", "http://equal");
    if (!url.searchParams.has("list-type")) {
      this.gets++;
      return this.#answer;
    }
    const page = this.#page(Number(url.searchParams.get("continuation-token") ?? 0));
    const head = `HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: ${page.length}\r\n\r\n`;
    return Buffer.from(head + page);
  }

  /** Keys are in ASCII. */
  #page(first: number): string {
    const { bucket, prefix, objects } = this.#options;
    const end = Math.min(objects, first + maxKeys);
    this.listed = Math.max(this.listed, end);
    let contents = "";
    for (let at = first; at < end; at++) contents += this.#entry(at);
    const next = end < objects ? `  <NextContinuationToken>${end}</NextContinuationToken>\n` : "";
    return (
      `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult>\n  <Name>${bucket}</Name>\n` +
      `  <Prefix>${encodeURIComponent(prefix)}</Prefix>\n${next}  <MaxKeys>${maxKeys}</MaxKeys>\n` +
      `  <EncodingType>url</EncodingType>\n  <IsTruncated>${end < objects}</IsTruncated>\n${contents}` +
      `  <KeyCount>${end - first}</KeyCount>\n</ListBucketResult>\n`
    );
  }

  #entry(index: number): string {
    const { prefix, perDirectory, sizeBytes } = this.#options;
    const name = String(index).padStart(9, "0");
    const directory = perDirectory && `${String(Math.floor(index / perDirectory)).padStart(6, "0")}/`;
    const key = encodeURIComponent(prefix + (directory ?? "") + name);
    return (
      `  <Contents>\n    <Key>${key}</Key>\n    <LastModified>2024-01-01T00:00:00.000Z</LastModified>\n` +
      `    <ETag>${etag}</ETag>\n    <Type>Multipart</Type>\n    <Size>${sizeBytes}</Size>\n` +
      "    <StorageClass>Standard</StorageClass>\n  </Contents>\n"
    );
  }
}
