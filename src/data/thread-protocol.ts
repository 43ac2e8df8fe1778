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

/** Whole objects in columns, which cross faster than an object for each; ids are consecutive. */
export interface WholesMessage {
  readonly kind: "wholes";
  readonly firstId: number;
  readonly signal: number;
  readonly keys: readonly string[];
  readonly etags: readonly string[];
  readonly paths: readonly SafePath[];
  readonly versions: readonly string[];
  /** Size in bytes and modification time in milliseconds of each. */
  readonly numbers: readonly number[];
}

/** Crosses as a number: the place in this list. */
export const verifications = ["crc64", "md5", "lengthOnly"] as const satisfies readonly Verification[];

export type ToThread =
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
}

export function packWholes(requests: readonly WholeRequest[], firstId: number, signal: number): WholesMessage {
  const keys: string[] = [];
  const etags: string[] = [];
  const paths: SafePath[] = [];
  const versions: string[] = [];
  const numbers: number[] = [];
  for (const { key, etag, target } of requests) {
    keys.push(key);
    etags.push(etag);
    paths.push(target.path);
    versions.push(target.version);
    numbers.push(target.sizeBytes, target.modifiedMs);
  }
  return { kind: "wholes", firstId, signal, keys, etags, paths, versions, numbers };
}

export function unpackWholes({ keys, etags, paths, versions, numbers }: WholesMessage): WholeRequest[] {
  return paths.map((path, i) => ({
    key: keys[i] ?? "",
    etag: etags[i] ?? "",
    target: { path, version: versions[i] ?? "", sizeBytes: numbers[2 * i] ?? 0, modifiedMs: numbers[2 * i + 1] ?? 0 },
  }));
}

export interface ThreadData {
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
