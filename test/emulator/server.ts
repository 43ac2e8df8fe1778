import type { Socket } from "node:net";
import type { Credential } from "./auth.ts";
import { type Certificate, makeCertificate } from "./certificate.ts";
import { type Content, MemoryContent } from "./content.ts";
import { handleControl, isControl } from "./control.ts";
import { type Counters, newCounters, RequestLog, type RequestRecord } from "./counters.ts";
import { type Fault, FaultList } from "./faults.ts";
import type { GeneratedSet, GenerateOptions } from "./generated-set.ts";
import { type Core, handleRequest } from "./handler.ts";
import { Listener } from "./listener.ts";
import { type Bucket, ObjectStore } from "./object-store.ts";
import { RateMeter } from "./rate-meter.ts";
import type { RouteOptions } from "./routes.ts";
import type { ObjectOptions, StoredObject } from "./stored-object.ts";
import type { AddressingOptions } from "./target.ts";

/** Everything has a default: HTTP on a free port of 127.0.0.1, one credential, signatures required. */
export interface EmulatorOptions extends RouteOptions, AddressingOptions {
  readonly host?: string;
  readonly port?: number;
  /** HTTPS with a self-signed certificate; `names` are further host names in it. */
  readonly tls?: boolean | { readonly names?: readonly string[] };
  /** As signatures name it: `cn-hangzhou`. */
  readonly region?: string;
  readonly credentials?: readonly Credential[];
  /** Every bucket can be read without a signature. */
  readonly anonymous?: boolean;
  /** Buckets to begin with; others appear with their first object. */
  readonly buckets?: readonly string[];
  readonly faults?: readonly Fault[];
  /** Before every answer. */
  readonly latencyMs?: number;
  readonly keepAliveMs?: number;
  readonly maxRequestsPerConnection?: number;
  /** Requests that `requests` remembers (10,000). */
  readonly requestLogLimit?: number;
  /** Added to the emulator's clock. */
  readonly clockOffsetMs?: number;
}

/** The credential that an emulator accepts unless it is given others. */
export const DEFAULT_CREDENTIAL: Credential = { accessKeyId: "emulator-id", accessKeySecret: "emulator-secret" };

/** A running OSS server on this machine. */
export class Emulator {
  readonly options: EmulatorOptions;
  readonly store = new ObjectStore();
  readonly faults = new FaultList();
  readonly region: string;
  /** Milliseconds that this server's clock is ahead of the machine's. */
  clockOffsetMs: number;
  readonly #credentials = new Map<string, Credential>();
  readonly #log: RequestLog;
  readonly #meter: RateMeter;
  readonly #counters: Counters = newCounters();
  readonly #certificate: Certificate | undefined;
  #listener: Listener | undefined;

  private constructor(options: EmulatorOptions, certificate: Certificate | undefined) {
    this.options = options;
    this.region = options.region ?? "cn-hangzhou";
    this.clockOffsetMs = options.clockOffsetMs ?? 0;
    this.#certificate = certificate;
    this.#log = new RequestLog(options.requestLogLimit ?? 10_000);
    this.#meter = new RateMeter(() => this.port);
    for (const credential of options.credentials ?? [DEFAULT_CREDENTIAL]) this.addCredential(credential);
    for (const name of options.buckets ?? []) this.store.ensure(name);
    this.faults.add(...(options.faults ?? []));
  }

  /** Resolves when the server accepts connections. */
  static async start(options: EmulatorOptions = {}): Promise<Emulator> {
    const { tls = false, region = "cn-hangzhou" } = options;
    const names = [`*.oss-${region}.aliyuncs.com`, ...(typeof tls === "object" ? (tls.names ?? []) : [])];
    for (const bucket of options.buckets ?? []) names.push(`${bucket}.localhost`);
    const certificate = tls === false ? undefined : await makeCertificate(names);
    const emulator = new Emulator(options, certificate);
    try {
      await emulator.#listen();
    } catch (error) {
      await certificate?.[Symbol.asyncDispose]();
      throw error;
    }
    return emulator;
  }

  get port(): number {
    return this.#listener?.port ?? 0;
  }

  /** Scheme, host and port; the host as it was asked for, so path style follows for an IP address. */
  get url(): string {
    return `${this.#certificate === undefined ? "http" : "https"}://${this.endpoint}`;
  }

  /** Host and port. */
  get endpoint(): string {
    const host = this.options.host ?? "127.0.0.1";
    const reachable = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
    return `${reachable.includes(":") ? `[${reachable}]` : reachable}:${this.port}`;
  }

  /** The certificate to trust; undefined without TLS. */
  get caFile(): string | undefined {
    return this.#certificate?.caFile;
  }

  get counters(): Readonly<Counters> {
    return this.#counters;
  }

  /** The latest requests, oldest first. */
  get requests(): readonly RequestRecord[] {
    return this.#log.list();
  }

  /** Body bytes that left in each whole second since the first one; see RateMeter. */
  bytesSentPerSecond(): number[] {
    return this.#meter.perSecond();
  }

  /** Sets counters, request log and rate back; open connections and requests stay counted. */
  resetCounters(): void {
    const { openConnections, concurrentRequests } = this.#counters;
    const kept = { openConnections, concurrentRequests };
    const maxima = { maxOpenConnections: openConnections, maxConcurrentRequests: concurrentRequests };
    Object.assign(this.#counters, newCounters(), kept, maxima);
    this.#log.clear();
    this.#meter.reset();
  }

  addFaults(...faults: readonly Fault[]): void {
    this.faults.add(...faults);
  }

  clearFaults(): void {
    this.faults.clear();
  }

  addCredential(credential: Credential): void {
    this.#credentials.set(credential.accessKeyId, credential);
  }

  removeCredential(accessKeyId: string): boolean {
    return this.#credentials.delete(accessKeyId);
  }

  /** The bucket of that name, made if there is none. */
  bucket(name: string): Bucket {
    return this.store.ensure(name);
  }

  /** Data must not be changed afterwards. */
  putObject(bucket: string, key: string, data: Content | Uint8Array | string, options?: ObjectOptions): StoredObject {
    return this.bucket(bucket).put(key, contentOf(data), options);
  }

  deleteObject(bucket: string, key: string): boolean {
    return this.store.get(bucket)?.delete(key) ?? false;
  }

  /** Gives an object other content and another ETag; undefined if there is none. */
  replaceObject(bucket: string, key: string, sizeBytes?: number): StoredObject | undefined {
    return this.store.get(bucket)?.replace(key, sizeBytes);
  }

  /** Adds any number of objects that cost no memory. */
  generate(options: GenerateOptions & { readonly bucket: string }): GeneratedSet {
    return this.bucket(options.bucket).generate(options);
  }

  /** The current content of an object, for comparisons. */
  readObject(bucket: string, key: string): Content | undefined {
    return this.store.get(bucket)?.get(key)?.content;
  }

  nowMs(): number {
    return Date.now() + this.clockOffsetMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener?.[Symbol.asyncDispose]();
    this.#meter[Symbol.dispose]();
    await this.#certificate?.[Symbol.asyncDispose]();
  }

  async #listen(): Promise<void> {
    const { host = "127.0.0.1", port = 0, keepAliveMs, maxRequestsPerConnection } = this.options;
    const core = this.#core();
    this.#listener = await Listener.open({
      host,
      port,
      certificate: this.#certificate,
      ...(keepAliveMs === undefined ? {} : { keepAliveMs }),
      ...(maxRequestsPerConnection === undefined ? {} : { maxRequestsPerConnection }),
      onRequest: (request, response) => {
        if (isControl(request)) handleControl(this, request, response);
        else handleRequest(core, request, response);
      },
      onConnection: (socket) => this.#countConnection(socket),
    });
  }

  #core(): Core {
    return {
      options: this.options,
      region: this.region,
      store: this.store,
      faults: this.faults,
      credentials: this.#credentials,
      log: this.#log,
      counters: this.#counters,
      meter: this.#meter,
      nowMs: () => this.nowMs(),
      reset: (socket) => this.#listener?.reset(socket),
    };
  }

  #countConnection(socket: Socket): void {
    const counters = this.#counters;
    counters.connections += 1;
    counters.openConnections += 1;
    counters.maxOpenConnections = Math.max(counters.maxOpenConnections, counters.openConnections);
    socket.once("close", (hadError: boolean) => {
      counters.openConnections -= 1;
      this.#meter.closed(socket, !hadError && socket.writableLength === 0);
    });
  }
}

function contentOf(data: Content | Uint8Array | string): Content {
  if (typeof data === "string") return new MemoryContent(Buffer.from(data, "utf8"));
  if (data instanceof Uint8Array) return new MemoryContent(Buffer.from(data.buffer, data.byteOffset, data.length));
  return data;
}
