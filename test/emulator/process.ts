import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Credential } from "./auth.ts";
import type { Counters, RequestRecord } from "./counters.ts";
import type { Fault } from "./faults.ts";
import type { ObjectOptions } from "./stored-object.ts";

/** The line that `main.ts` prints. */
export interface Ready {
  readonly pid: number;
  readonly url: string;
  readonly endpoint: string;
  readonly port: number;
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  readonly caFile: string | null;
  readonly objects: number;
  readonly sts: {
    readonly endpoint: string;
    readonly credentialsUri: string;
    readonly caFile: string;
    readonly oidcToken: string;
    readonly roleArn: string;
    readonly oidcProviderArn: string;
  } | null;
}

/** Steers an emulator in another process through its control interface; every method rejects if it says no. */
export class EmulatorControl {
  readonly #url: string;
  readonly #ca: string | undefined;

  constructor(url: string, ca?: string) {
    this.#url = url;
    this.#ca = ca;
  }

  counters(): Promise<Counters> {
    return this.#call("GET", "counters") as Promise<Counters>; // The other end is control.ts, as below.
  }

  async resetCounters(): Promise<void> {
    await this.#call("POST", "counters/reset");
  }

  bytesSentPerSecond(): Promise<number[]> {
    return this.#call("GET", "bytes-per-second") as Promise<number[]>;
  }

  requests(): Promise<RequestRecord[]> {
    return this.#call("GET", "requests") as Promise<RequestRecord[]>;
  }

  /** A RegExp as key becomes its source, without flags. */
  async addFaults(...faults: readonly Fault[]): Promise<void> {
    const plain = faults.map((fault) =>
      fault.key instanceof RegExp ? { ...fault, key: undefined, keyPattern: fault.key.source } : fault,
    );
    await this.#call("POST", "faults", JSON.stringify(plain));
  }

  async clearFaults(): Promise<void> {
    await this.#call("DELETE", "faults");
  }

  async putObject(bucket: string, key: string, data: Uint8Array | string, options: ObjectOptions = {}): Promise<void> {
    const query = new URLSearchParams({ bucket, key, options: JSON.stringify(options) });
    await this.#call("PUT", `objects?${query}`, data);
  }

  async deleteObject(bucket: string, key: string): Promise<void> {
    await this.#call("DELETE", `objects?${new URLSearchParams({ bucket, key })}`);
  }

  async replaceObject(bucket: string, key: string, sizeBytes?: number): Promise<void> {
    const size = sizeBytes === undefined ? {} : { sizeBytes: String(sizeBytes) };
    await this.#call("POST", `objects/replace?${new URLSearchParams({ bucket, key, ...size })}`);
  }

  async addCredential(credential: Credential): Promise<void> {
    await this.#call("POST", "credentials", JSON.stringify(credential));
  }

  async setClockOffset(offsetMs: number): Promise<void> {
    await this.#call("POST", `clock?offsetMs=${offsetMs}`);
  }

  async #call(method: string, path: string, body: Uint8Array | string = ""): Promise<unknown> {
    const url = `${this.#url}/_emulator/${path}`;
    const options: RequestOptions & { ca?: string } = { method, agent: false };
    if (this.#ca !== undefined) options.ca = this.#ca;
    const call = url.startsWith("https:") ? httpsRequest(url, options) : httpRequest(url, options);
    call.end(body);
    // The first argument of a response event is the message.
    const [response] = (await once(call, "response")) as [IncomingMessage];
    const parts: Buffer[] = [];
    for await (const part of response) parts.push(Buffer.from(part));
    const text = Buffer.concat(parts).toString("utf8");
    if (response.statusCode !== 200) throw new Error(`${method} ${path}: ${response.statusCode} ${text}`);
    return JSON.parse(text) as unknown;
  }
}

/** A running child; disposing ends it with SIGTERM and waits. */
export interface EmulatorProcess extends AsyncDisposable {
  readonly ready: Ready;
  readonly control: EmulatorControl;
}

/** Starts `main.ts` with these flags and resolves when it is ready; rejects with its last words if it ends before. */
export async function startEmulatorProcess(flags: readonly string[]): Promise<EmulatorProcess> {
  const main = fileURLToPath(new URL("./main.ts", import.meta.url));
  const child = spawn(process.execPath, [main, ...flags], { stdio: ["ignore", "pipe", "pipe"] });
  const closed = once(child, "close");
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaints = (complaints + text).slice(-4096);
  });
  const lines = createInterface(child.stdout);
  const first = await Promise.race([once(lines, "line"), closed.then(() => undefined)]);
  if (first === undefined) throw new Error(`the emulator ended before it was ready: ${complaints}`);
  const ready = JSON.parse(String(first[0])) as Ready;
  const ca = ready.caFile === null ? undefined : await readFile(ready.caFile, "utf8");
  return {
    ready,
    control: new EmulatorControl(ready.url, ca),
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await closed;
    },
  };
}
