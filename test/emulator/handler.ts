import type { IncomingMessage, ServerResponse } from "node:http";
import { type Answer, emptyAnswer, failureAnswer } from "./answer.ts";
import { authenticate, type Credential } from "./auth.ts";
import { headerOf } from "./conditions.ts";
import type { RequestLog, RequestRecord } from "./counters.ts";
import { failureOf, OssRefusal, refuse } from "./errors.ts";
import { type Books, Exchange } from "./exchange.ts";
import { type FaultList, type FaultOf, firedFault, type Operation } from "./faults.ts";
import type { Bucket, ObjectStore } from "./object-store.ts";
import { type RouteOptions, route } from "./routes.ts";
import { sendAnswer, sendGarbage } from "./sender.ts";
import { type AddressingOptions, operationOf, parseTarget, type Target } from "./target.ts";

/** The part of an emulator that requests meet. */
export interface Core extends Books {
  readonly options: RouteOptions & AddressingOptions & { readonly anonymous?: boolean; readonly latencyMs?: number };
  readonly region: string;
  readonly store: ObjectStore;
  readonly faults: FaultList;
  readonly credentials: ReadonlyMap<string, Credential>;
  readonly log: RequestLog;
  nowMs(): number;
}

const MAX_PUT_BYTES = 1_073_741_824;
const NO_BODY = Buffer.alloc(0);
const UNREADABLE: Target = { bucket: "", key: "", query: new Map(), path: "", rawQuery: "", style: "path" };

/** Answers one request of the OSS protocol, bent by the faults that it meets. */
export function handleRequest(core: Core, request: IncomingMessage, response: ServerResponse): void {
  const method = request.method ?? "";
  const parsed = targetOf(core, request);
  const target = parsed instanceof OssRefusal ? { ...UNREADABLE, path: request.url ?? "" } : parsed;
  const operation = parsed instanceof OssRefusal ? "other" : operationOf(method, target);
  const listingNumber = core.counters.list;
  countRequest(core, operation, request);
  const record = newRecord(core, request, operation, target);
  const faults = core.faults.take(operation, target.key);
  const exchange = new Exchange({ request, response, record, faults, nowMs: core.nowMs(), books: core });
  core.log.add(record);
  const job = { core, exchange, target, operation, listingNumber };
  const go = () => (parsed instanceof OssRefusal ? sendAnswer(exchange, answerTo(parsed, exchange)) : answer(job));
  const waitMs = (core.options.latencyMs ?? 0) + totalDelayMs(exchange);
  if (waitMs > 0) setTimeout(go, waitMs);
  else go();
}

interface Job {
  readonly core: Core;
  readonly exchange: Exchange;
  readonly target: Target;
  readonly operation: Operation;
  readonly listingNumber: number;
}

function targetOf(core: Core, request: IncomingMessage): Target | OssRefusal {
  try {
    return parseTarget(request.url ?? "/", request.headers, core.options);
  } catch (error) {
    if (error instanceof OssRefusal) return error;
    throw error;
  }
}

function countRequest({ counters }: Core, operation: Operation, { headers }: IncomingMessage): void {
  counters[operation] += 1;
  if (headers.authorization === undefined) counters.anonymous += 1;
  if (headerOf(headers, "accept-encoding")?.includes("gzip") === true) counters.acceptGzip += 1;
  if (operation !== "get") return;
  if (headers["if-match"] !== undefined) counters.ifMatch += 1;
  if (headers.range === undefined) return;
  if (headers["x-oss-range-behavior"] === "standard") counters.rangeStandard += 1;
  else counters.rangeDefault += 1;
}

let requestNumber = 0;

function newRecord(core: Core, request: IncomingMessage, operation: Operation, target: Target): RequestRecord {
  requestNumber += 1;
  return {
    id: `65A0${requestNumber.toString(16).toUpperCase().padStart(20, "0")}`,
    operation,
    method: request.method ?? "",
    path: target.path,
    query: target.rawQuery,
    bucket: target.bucket,
    key: target.key,
    headers: request.headers,
    remotePort: request.socket.remotePort ?? 0,
    startedAtMs: core.nowMs(),
    status: 0,
    bytesSent: 0,
    finished: false,
    finishedAtMs: undefined,
  };
}

function totalDelayMs({ faults }: Exchange): number {
  return faults.reduce((sum, action) => sum + (action.kind === "delay" ? action.ms : 0), 0);
}

function answer(job: Job): void {
  const { exchange, core, target, operation } = job;
  if (exchange.gone || sentInstead(exchange)) return;
  if (operation === "put") {
    void readBody(exchange.request).then((body) => finish(job, body));
    return;
  }
  const change = firedFault(exchange.faults, "changeEtag");
  const changeObject = () => core.store.get(target.bucket)?.replace(target.key, change?.sizeBytes);
  if (change !== undefined && change.when !== "after") changeObject();
  finish(job, NO_BODY);
  // The answer holds the old version; whoever asks next meets the new one.
  if (change?.when === "after") changeObject();
}

/** Whether a fault took the place of the answer. */
function sentInstead(exchange: Exchange): boolean {
  const { faults } = exchange;
  const status = firedFault(faults, "status");
  if (firedFault(faults, "reset") !== undefined) exchange.reset();
  else if (firedFault(faults, "garbageHead") !== undefined) sendGarbage(exchange);
  else if (status !== undefined) sendAnswer(exchange, statusAnswer(status, exchange));
  else return false;
  return true;
}

function finish(job: Job, body: Buffer): void {
  sendAnswer(job.exchange, tryRoute(job, body));
}

function tryRoute(job: Job, body: Buffer): Answer {
  const { core, exchange, target, operation, listingNumber } = job;
  const { headers } = exchange.request;
  try {
    const bucket = admit(job);
    const ignoreRange = firedFault(exchange.faults, "ignoreRange") !== undefined;
    const repeatedToken = firedFault(exchange.faults, "repeatedToken") !== undefined;
    const options = repeatedToken
      ? { ...core.options, listing: { ...core.options.listing, repeatedToken } }
      : core.options;
    const method = exchange.record.method;
    return route({ operation, method, bucket, target, headers, options, body, listingNumber, ignoreRange });
  } catch (error) {
    return answerTo(error, exchange);
  }
}

/** The bucket, once signature, addressing and rights are in order; throws refusals. */
function admit({ core, exchange, target, operation }: Job): Bucket {
  const { method } = exchange.record;
  const { headers } = exchange.request;
  const { bucket: name, key, query } = target;
  const context = { credentials: core.credentials, region: core.region, nowMs: core.nowMs() };
  if (target.style === "path" && core.options.addressing === "virtual") throw refuse("SecondLevelDomainForbidden");
  const credential = authenticate({ method, bucket: name, key, query, headers }, context);
  if (name === "") throw refuse("NotImplemented", { message: "Listing buckets is not part of this emulator." });
  const bucket = core.store.get(name);
  if (bucket === undefined) throw refuse("NoSuchBucket", { details: { BucketName: name } });
  if (credential === undefined) {
    const reads = operation !== "put" && operation !== "delete" && method !== "PUT";
    if (!reads || !(bucket.publicRead || core.options.anonymous === true)) {
      throw refuse("AccessDenied", { message: "Anonymous access is forbidden for this operation." });
    }
  } else if (credential.allow !== undefined && !credential.allow.includes(operation)) {
    throw refuse("AccessDenied");
  }
  return bucket;
}

/** A refusal as it is; anything else is a defect of the emulator, told to the client as InternalError. */
function answerTo(error: unknown, exchange: Exchange): Answer {
  const failure =
    error instanceof OssRefusal
      ? error.failure
      : failureOf("InternalError", { message: error instanceof Error ? String(error.stack) : String(error) });
  return failureAnswer(failure, failedRequest(exchange));
}

function statusAnswer(fault: FaultOf<"status">, exchange: Exchange): Answer {
  const headers: Record<string, string> = {};
  if (fault.retryAfter !== undefined) headers["Retry-After"] = String(fault.retryAfter);
  if (fault.status < 400) return emptyAnswer(fault.status, headers);
  const code = fault.ossCode ?? defaultCodes[fault.status] ?? "InternalError";
  const changes = fault.message === undefined ? {} : { message: fault.message };
  const failure = failureOf(code, { status: fault.status, ...changes });
  return failureAnswer(failure, { ...failedRequest(exchange), headers });
}

const defaultCodes: Readonly<Record<number, string>> = {
  400: "InvalidArgument",
  403: "AccessDenied",
  404: "NoSuchKey",
  412: "PreconditionFailed",
  416: "InvalidRange",
  503: "ServiceUnavailable",
};

function failedRequest({ record }: Exchange) {
  return { id: record.id, method: record.method, host: headerOf(record.headers, "host") ?? "" };
}

/** Bytes of a request; what goes beyond the limit is left out, and an aborted request has what had come. */
async function readBody(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of request) {
      // A request without an encoding set yields Buffers.
      const data = part as Buffer;
      bytes += data.length;
      if (bytes <= MAX_PUT_BYTES) parts.push(data);
    }
  } catch {
    return NO_BODY; // The client is gone; nobody will see the answer.
  }
  return Buffer.concat(parts);
}
