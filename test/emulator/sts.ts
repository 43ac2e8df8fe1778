import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Credential, MAX_SKEW_MS } from "./auth.ts";
import { type Certificate, makeCertificate } from "./certificate.ts";
import { type FaultList, firedFault } from "./faults.ts";
import { Listener } from "./listener.ts";

/** What the STS server needs of the emulator whose requests its credentials are for. */
export interface CredentialSink {
  readonly faults: FaultList;
  addCredential(credential: Credential): void;
  nowMs(): number;
}

export interface StsOptions {
  readonly emulator: CredentialSink;
  readonly host?: string;
  /** Port of the HTTPS server; 0, the default, takes a free one. */
  readonly port?: number;
  /** Port of the credentials URI (HTTP). */
  readonly uriPort?: number;
  /** Further host names in the certificate. */
  readonly names?: readonly string[];
  readonly oidcToken?: string;
  readonly roleArn?: string;
  readonly oidcProviderArn?: string;
  /** Whatever the request asks for. Without it DurationSeconds, or an hour. */
  readonly lifetimeSeconds?: number;
}

export interface StsCounters {
  /** Requests to the STS server and to the credentials URI, refused ones included. */
  assumeRole: number;
  credentialsUri: number;
  issued: number;
  refused: number;
}

interface Failure {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

type Door = "assumeRole" | "credentialsUri";

export const DEFAULT_OIDC_TOKEN = "emulator-oidc-token";
export const DEFAULT_ROLE_ARN = "acs:ram::1234567890123456:role/emulator-role";
export const DEFAULT_OIDC_PROVIDER_ARN = "acs:ram::1234567890123456:oidc-provider/emulator-provider";

/** AssumeRoleWithOIDC over HTTPS and a credentials URI over HTTP, both giving credentials that the emulator accepts. */
export class StsServer {
  readonly counters: StsCounters = { assumeRole: 0, credentialsUri: 0, issued: 0, refused: 0 };
  readonly roleArn: string;
  readonly oidcProviderArn: string;
  /** The token that is accepted from now on; white space at its end is not compared. */
  oidcToken: string;
  lifetimeSeconds: number | undefined;
  readonly #emulator: CredentialSink;
  readonly #certificate: Certificate;
  readonly #host: string;
  readonly #issued: Credential[] = [];
  readonly #failures: Record<Door, Failure[]> = { assumeRole: [], credentialsUri: [] };
  #tls: Listener | undefined;
  #uri: Listener | undefined;

  private constructor(options: StsOptions, certificate: Certificate) {
    this.#emulator = options.emulator;
    this.#certificate = certificate;
    this.#host = options.host ?? "127.0.0.1";
    this.oidcToken = options.oidcToken ?? DEFAULT_OIDC_TOKEN;
    this.roleArn = options.roleArn ?? DEFAULT_ROLE_ARN;
    this.oidcProviderArn = options.oidcProviderArn ?? DEFAULT_OIDC_PROVIDER_ARN;
    this.lifetimeSeconds = options.lifetimeSeconds;
  }

  /** Resolves when both servers accept connections. */
  static async start(options: StsOptions): Promise<StsServer> {
    const certificate = await makeCertificate(options.names);
    const sts = new StsServer(options, certificate);
    try {
      sts.#tls = await sts.#open("assumeRole", options.port ?? 0, certificate);
      sts.#uri = await sts.#open("credentialsUri", options.uriPort ?? 0, undefined);
    } catch (error) {
      await sts[Symbol.asyncDispose]();
      throw error;
    }
    return sts;
  }

  /** Host and port, as `stsEndpoint` of the credentials library takes it. */
  get endpoint(): string {
    return `${this.#reachableHost}:${this.#tls?.port}`;
  }

  /** For `ALIBABA_CLOUD_CREDENTIALS_URI`. */
  get credentialsUri(): string {
    return `http://${this.#reachableHost}:${this.#uri?.port}/credentials`;
  }

  /** For `NODE_EXTRA_CA_CERTS`. */
  get caFile(): string {
    return this.#certificate.caFile;
  }

  /** Makes the next `count` requests through a door fail. */
  failNext(door: Door, count: number, failure: Partial<Failure> = {}): void {
    const full = { status: 500, code: "InternalError", message: "The request processing has failed.", ...failure };
    for (let index = 0; index < count; index++) this.#failures[door].push(full);
  }

  /** Makes credentials that the emulator accepts until they expire. */
  issue(lifetimeSeconds = this.lifetimeSeconds ?? 3600): Required<Omit<Credential, "allow">> {
    this.counters.issued += 1;
    const credential = {
      accessKeyId: `STS.${randomBytes(12).toString("hex")}`,
      accessKeySecret: randomBytes(24).toString("base64url"),
      securityToken: `CAIS${randomBytes(48).toString("base64")}`,
      expiresAtMs: this.#emulator.nowMs() + lifetimeSeconds * 1000,
    };
    this.#emulator.addCredential(credential);
    this.#issued.push(credential);
    return credential;
  }

  /** Ends all credentials that were issued so far, whatever their answers said. */
  expireIssued(): void {
    for (const credential of this.#issued.splice(0)) {
      this.#emulator.addCredential({ ...credential, expiresAtMs: this.#emulator.nowMs() });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tls?.[Symbol.asyncDispose]();
    await this.#uri?.[Symbol.asyncDispose]();
    await this.#certificate[Symbol.asyncDispose]();
  }

  get #reachableHost(): string {
    return this.#host === "0.0.0.0" || this.#host === "::" ? "127.0.0.1" : this.#host;
  }

  #open(door: Door, port: number, certificate: Certificate | undefined): Promise<Listener> {
    return Listener.open({
      host: this.#host,
      port,
      certificate,
      onRequest: (request, response) => void this.#handle(door, request, response),
    });
  }

  async #handle(door: Door, request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.counters[door] += 1;
    const faults = this.#emulator.faults.take("sts", door);
    const form = await readForm(request);
    if (firedFault(faults, "reset") !== undefined) {
      (door === "assumeRole" ? this.#tls : this.#uri)?.reset(request.socket);
      return;
    }
    const delay = firedFault(faults, "delay");
    const status = firedFault(faults, "status");
    const forced = status && { status: status.status, code: status.ossCode ?? "InternalError", message: "fault" };
    const failure = forced ?? this.#failures[door].shift() ?? this.#refusal(door, form);
    if (failure !== undefined) this.counters.refused += 1;
    const body = failure === undefined ? this.#success(door, form) : errorBody(failure);
    const date = new Date(this.#emulator.nowMs()).toUTCString();
    setTimeout(() => sendJson(response, { status: failure?.status ?? 200, date, body }), delay?.ms ?? 0);
  }

  #refusal(door: Door, form: URLSearchParams): Failure | undefined {
    if (door === "credentialsUri") return undefined;
    if (form.get("Action") !== "AssumeRoleWithOIDC" || form.get("Version") !== "2015-04-01") {
      return { status: 404, code: "InvalidAction.NotFound", message: "Specified api is not found." };
    }
    const sentMs = Date.parse(form.get("Timestamp") ?? "");
    if (Math.abs(sentMs - this.#emulator.nowMs()) > MAX_SKEW_MS) {
      const message = "Specified time stamp or date value is expired.";
      return { status: 400, code: "InvalidTimeStamp.Expired", message };
    }
    if (form.get("RoleArn") !== this.roleArn) {
      return { status: 404, code: "EntityNotExist.Role", message: "The specified role not exists." };
    }
    if (form.get("OIDCProviderArn") !== this.oidcProviderArn) {
      const code = "AuthenticationFail.OIDCProvider.NotExist";
      return { status: 404, code, message: "The OIDC provider does not exist." };
    }
    if (form.get("OIDCToken")?.trimEnd() !== this.oidcToken.trimEnd()) {
      return { status: 400, code: "AuthenticationFail.OIDCToken.Invalid", message: "This JWT is invalid." };
    }
    return undefined;
  }

  #success(door: Door, form: URLSearchParams): unknown {
    const asked = Number(form.get("DurationSeconds") ?? 3600);
    const credential = this.issue(this.lifetimeSeconds ?? asked);
    const fields = {
      AccessKeyId: credential.accessKeyId,
      AccessKeySecret: credential.accessKeySecret,
      SecurityToken: credential.securityToken,
      Expiration: new Date(credential.expiresAtMs).toISOString().replace(/\.\d+/, ""),
    };
    if (door === "credentialsUri") return { Code: "Success", ...fields };
    const session = form.get("RoleSessionName") ?? "";
    return {
      RequestId: randomBytes(16).toString("hex").toUpperCase(),
      AssumedRoleUser: { Arn: `${this.roleArn}/${session}`, AssumedRoleId: `300000000000000000:${session}` },
      OIDCTokenInfo: { Subject: "system:serviceaccount:default:populator", Issuer: "https://oidc", ClientIds: "sts" },
      Credentials: fields,
    };
  }
}

function errorBody(failure: Failure): unknown {
  const { code, message } = failure;
  return { RequestId: randomBytes(16).toString("hex").toUpperCase(), HostId: "sts", Code: code, Message: message };
}

interface Answer {
  readonly status: number;
  /** By the clock of the emulator that the credentials are for. */
  readonly date: string;
  readonly body: unknown;
}

function sendJson(response: ServerResponse, { status, date, body }: Answer): void {
  const text = JSON.stringify(body);
  const headers = { Date: date, "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) };
  response.writeHead(status, headers);
  response.end(text);
}

/** Parameters of the query and of a form body. */
async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(Buffer.from(part));
  const query = request.url?.split("?")[1] ?? "";
  return new URLSearchParams(`${query}&${Buffer.concat(parts).toString("utf8")}`);
}
