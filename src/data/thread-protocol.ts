/** What the main thread and a data thread say to each other: batches of calls one way, batches of replies the other. */
import { CopyError, type ErrorKind } from "../errors.ts";
import type { SigningState } from "../oss/signing.ts";
import type { PlaneStats, SafePath, Verification, WholeRequest } from "../types.ts";
import type { PlaneSetup } from "./build-plane.ts";
import type { LocalPlane } from "./local-plane.ts";

/** The methods of a local plane that can be called from another thread: their arguments and results are plain data. */
export const remoteMethods = [
  "openFile",
  "reopenFile",
  "clearPlace",
  "shareFile",
  "joinFile",
  "leaveFile",
  "copyRange",
  "fileMd5",
  "settleFile",
  "abandonFile",
  "makeDirectory",
  "inspect",
  "publish",
  "syncDirectories",
] as const;

export type RemoteMethod = (typeof remoteMethods)[number];
type Signalled = "copyRange" | "fileMd5";
/** Arguments without the signal, which crosses as an abort message. */
export type RemoteArguments<M extends RemoteMethod> = M extends Signalled
  ? Parameters<LocalPlane[M]> extends [...infer Rest, AbortSignal]
    ? Rest
    : never
  : Parameters<LocalPlane[M]>;
export type RemoteResult<M extends RemoteMethod> = M extends "publish"
  ? readonly (PlainError | undefined)[]
  : Awaited<ReturnType<LocalPlane[M]>>;

export interface Call {
  readonly id: number;
  readonly method: RemoteMethod;
  readonly args: readonly unknown[];
  /** Number of the signal that ends it; signals are many calls' and cross once, as an abort. */
  readonly signal: number | undefined;
}

/** Whole objects as one text and one array, which cross faster than an object for each; ids are consecutive. */
export interface WholesMessage {
  readonly kind: "wholes";
  readonly firstId: number;
  readonly signal: number;
  /** Key, ETag, path and version of each, without anything between them. */
  readonly text: string;
  /** Of each the lengths of these four, its size in bytes and its modification time in milliseconds. */
  readonly numbers: Float64Array;
}

const numbersOfEach = 6;

/** Crosses as a number: the place in this list. */
export const verifications = ["crc64", "md5", "lengthOnly"] as const satisfies readonly Verification[];

export type ToThread =
  | OpenMessage
  | WholesMessage
  | { readonly kind: "calls"; readonly calls: readonly Call[] }
  | { readonly kind: "abort"; readonly signal: number }
  | { readonly kind: "signing"; readonly state: SigningState }
  | { readonly kind: "close" };

export type Reply = { readonly id: number } & ({ readonly value: unknown } | { readonly error: PlainError });

export interface FromThread {
  readonly replies: readonly Reply[];
  /** Whole objects that were copied: id and verification of each, in turn. Those that failed are among the replies. */
  readonly copied: readonly number[];
  /** Not with every message. */
  readonly stats: PlaneStats | undefined;
  /** Why the thread has no plane, and ends. */
  readonly death?: PlainError;
}

export function packWholes(requests: readonly WholeRequest[], firstId: number, signal: number): WholesMessage {
  const numbers = new Float64Array(numbersOfEach * requests.length);
  let text = "";
  let at = 0;
  for (const { key, etag, target } of requests) {
    const { path, version, sizeBytes, modifiedMs } = target;
    text += key + etag + path + version;
    numbers[at++] = key.length;
    numbers[at++] = etag.length;
    numbers[at++] = path.length;
    numbers[at++] = version.length;
    numbers[at++] = sizeBytes;
    numbers[at++] = modifiedMs;
  }
  return { kind: "wholes", firstId, signal, text, numbers };
}

export function unpackWholes({ text, numbers }: WholesMessage): WholeRequest[] {
  const requests: WholeRequest[] = [];
  let number = 0;
  let start = 0;
  const next = (): number => numbers[number++] ?? 0;
  const piece = (): string => {
    const from = start;
    start += next();
    return text.slice(from, start);
  };
  while (number < numbers.length) {
    const key = piece();
    const etag = piece();
    const path = piece() as SafePath; // as it was on the other side
    const version = piece();
    requests.push({ key, etag, target: { path, version, sizeBytes: next(), modifiedMs: next() } });
  }
  return requests;
}

/** What the thread makes its plane from. It may come long after the thread has been started, and once only. */
export interface OpenMessage {
  readonly kind: "open";
  readonly setup: PlaneSetup;
  readonly signing: SigningState;
}

/** An error without its class, which structured cloning would lose. */
export type PlainError =
  | {
      readonly type: "copy";
      readonly kind: ErrorKind;
      readonly message: string;
      readonly retryAfterMs: number | undefined;
      readonly requestId: string | undefined;
      readonly serverTimeMs: number | undefined;
      readonly receivedBytes: number;
    }
  | { readonly type: "bug"; readonly message: string; readonly stack: string | undefined };

export function flattenError(error: unknown): PlainError {
  if (error instanceof CopyError) {
    const { kind, message, retryAfterMs, requestId, serverTimeMs, receivedBytes } = error;
    return { type: "copy", kind, message, retryAfterMs, requestId, serverTimeMs, receivedBytes };
  }
  if (error instanceof Error) return { type: "bug", message: error.message, stack: error.stack };
  return { type: "bug", message: String(error), stack: undefined };
}

export function restoreError(plain: PlainError): Error {
  if (plain.type === "copy") {
    const { kind, message, retryAfterMs, requestId, serverTimeMs, receivedBytes } = plain;
    return new CopyError(kind, message, {
      receivedBytes,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      ...(requestId !== undefined && { requestId }),
      ...(serverTimeMs !== undefined && { serverTimeMs }),
    });
  }
  const error = new Error(plain.message);
  if (plain.stack !== undefined) error.stack = plain.stack;
  return error;
}
