import pLimit from "p-limit";
import { chooseCheck } from "../checksum/check.ts";
import { CopyError } from "../errors.ts";
import type { ExistingFile, ObjectEntry, ObjectSource, SafePath, Verification } from "../types.ts";
import { ArchiveAccess } from "./archive.ts";
import { compareKeys } from "./key-order.ts";
import type { Ledger } from "./ledger.ts";
import { LinkedAbort } from "./linked-abort.ts";
import type { Pages } from "./listing.ts";
import { archived, type PathRules, Planner } from "./plan.ts";
import type { Requests } from "./requests.ts";
import { isObjectsOwn } from "./retry.ts";
import { SourceDigest } from "./source-digest.ts";
import { TooManyFailures } from "./too-many-failures.ts";

export interface LocalFile extends ExistingFile {
  readonly path: SafePath;
}

/** A directory to be audited. Its methods throw CopyError `volume` when it cannot be read. */
export interface LocalTree {
  /** Every file below, in the byte order of their paths. */
  walk(): AsyncGenerator<LocalFile>;
  inspect(path: SafePath): Promise<ExistingFile | undefined>;
  crc64(path: SafePath, signal: AbortSignal): Promise<bigint>;
  md5(path: SafePath, signal: AbortSignal): Promise<string>;
}

export interface VerifyParts {
  readonly source: ObjectSource;
  readonly requests: Requests;
  readonly ledger: Ledger;
  readonly rules: PathRules;
  readonly local: LocalTree;
}

export interface VerifyOptions {
  readonly select: (relative: string) => boolean;
  readonly unsupported: "fail" | "skip";
  /** Differences and failures that end the run; undefined is no limit. */
  readonly maxFailures: number | undefined;
  readonly concurrency: number;
  /** Whether entries come in key order. */
  readonly sorted: boolean;
  /** Whether files that the source does not have are differences; only with `sorted`. */
  readonly extras: boolean;
  /** Whether equal lengths prove anything where the service keeps no checksum. */
  readonly lengthProves: boolean;
}

/** Compares names, sizes and checksums in one pass over both sides in key order; differences go into the ledger. Throws TooManyFailures. */
export async function verifyAll(
  pages: Pages,
  prefix: string,
  parts: VerifyParts,
  options: VerifyOptions,
  signal: AbortSignal,
): Promise<{ readonly sourceDigest: string }> {
  return new Verifier(prefix, parts, options, signal).run(pages);
}

class Verifier {
  readonly #prefix: string;
  readonly #parts: VerifyParts;
  readonly #options: VerifyOptions;
  readonly #stop: LinkedAbort;
  readonly #limit;
  readonly #planner: Planner;
  readonly #digest = new SourceDigest();
  readonly #local: AsyncGenerator<LocalFile> | undefined;
  #file: LocalFile | undefined;
  #previous = "";
  readonly #archive: ArchiveAccess;

  constructor(prefix: string, parts: VerifyParts, options: VerifyOptions, signal: AbortSignal) {
    this.#prefix = prefix;
    this.#archive = new ArchiveAccess(parts);
    this.#parts = parts;
    this.#options = options;
    this.#stop = new LinkedAbort(signal);
    this.#limit = pLimit(options.concurrency);
    this.#planner = new Planner(prefix, parts.rules, options.sorted);
    this.#local = options.extras ? parts.local.walk() : undefined;
  }

  async run(pages: Pages): Promise<{ readonly sourceDigest: string }> {
    const { signal } = this.#stop;
    try {
      await this.#advance();
      for await (const { entries } of pages(signal)) {
        const selected = entries.filter(({ key }) => this.#options.select(this.#relative(key)));
        this.#parts.ledger.listed(selected);
        await this.#meetAll(selected);
        signal.throwIfAborted();
      }
      this.#parts.ledger.listingEnded();
      while (this.#file) await this.#extra(this.#file);
      signal.throwIfAborted();
      return { sourceDigest: this.#digest.finish() };
    } finally {
      this.#stop[Symbol.dispose]();
      await this.#local?.return(undefined);
    }
  }

  /** Resolves when all comparisons have ended, also after a failure. */
  async #meetAll(entries: readonly ObjectEntry[]): Promise<void> {
    const checks: Promise<void>[] = [];
    try {
      for (const entry of entries) {
        this.#stop.signal.throwIfAborted();
        if (this.#options.extras && compareKeys(this.#previous, entry.key) > 0) throw unsorted(entry.key);
        this.#previous = entry.key;
        this.#digest.add(entry);
        const check = await this.#meet(entry);
        if (check) checks.push(this.#limit(check));
      }
    } catch (error) {
      this.#stop.abort(error);
    }
    await Promise.all(checks);
  }

  /** Pairs an entry with what stands in its place; resolves to the comparison of their bytes that is still to be done. */
  async #meet(entry: ObjectEntry): Promise<(() => Promise<void>) | undefined> {
    const { ledger, local } = this.#parts;
    const planned = this.#planner.plan(entry);
    if (planned.status === "nothing") {
      ledger.matched(entry, undefined);
    } else if (planned.status === "refused") {
      this.#refused(entry, planned.error);
    } else {
      const { path } = planned.task.target;
      while (this.#file && compareKeys(this.#file.path, path) < 0) await this.#extra(this.#file);
      const walked = this.#file?.path === path ? this.#file : undefined;
      if (walked) await this.#advance();
      const found = walked ?? (await local.inspect(path));
      if (planned.task.kind === "directory") this.#directory(entry, found);
      else return () => this.#check(entry, path, found);
    }
    return undefined;
  }

  #directory(entry: ObjectEntry, found: ExistingFile | undefined): void {
    if (found?.kind === "directory") this.#parts.ledger.matched(entry, undefined);
    else this.#failed(entry, different(entry.key, "there is no such directory"));
  }

  async #check(entry: ObjectEntry, path: SafePath, found: ExistingFile | undefined): Promise<void> {
    const { ledger } = this.#parts;
    const { signal } = this.#stop;
    if (signal.aborted) return;
    try {
      const { lengthProves } = this.#options;
      if (found === undefined && (await this.#archive.refuses(entry, signal))) throw archived(entry);
      ledger.matched(entry, await proofOf({ entry, path, found, lengthProves }, this.#parts, signal));
    } catch (error) {
      if (isObjectsOwn(error) && !signal.aborted) this.#refused(entry, error);
      else this.#stop.abort(error);
    }
  }

  async #extra(file: LocalFile): Promise<void> {
    await this.#advance();
    if (!this.#options.select(file.path)) return;
    const key = this.#prefix + file.path;
    this.#parts.ledger.unlisted(key, different(key, "the file is not in the source"));
    this.#judge();
  }

  #refused(entry: ObjectEntry, error: CopyError): void {
    const isSkipped = error.kind === "unsupported" && this.#options.unsupported === "skip";
    if (isSkipped) this.#parts.ledger.skipped(entry, error.message);
    else this.#failed(entry, error);
  }

  #failed(entry: ObjectEntry, error: CopyError): void {
    this.#parts.ledger.failed(entry, error);
    this.#judge();
  }

  /** Ends the run once enough is known to be wrong; what is being compared by then counts no more. */
  #judge(): void {
    const { maxFailures } = this.#options;
    if (maxFailures !== undefined && this.#parts.ledger.failureCount >= maxFailures)
      this.#stop.abort(new TooManyFailures());
  }

  async #advance(): Promise<void> {
    this.#stop.signal.throwIfAborted();
    const next = await this.#local?.next();
    this.#file = next?.done === false ? next.value : undefined;
  }

  #relative(key: string): string {
    return key.slice(this.#prefix.length);
  }
}

/** An object, and what stands in its place. */
export interface Pair {
  readonly entry: ObjectEntry;
  readonly path: SafePath;
  readonly found: ExistingFile | undefined;
  /** Whether equal lengths prove anything where the service keeps no checksum. */
  readonly lengthProves: boolean;
}

/** What proves that the object's bytes stand in its place; throws CopyError `different` when they do not. */
export async function proofOf(
  { entry, path, found, lengthProves }: Pair,
  { source, requests, local }: Pick<VerifyParts, "source" | "requests" | "local">,
  signal: AbortSignal,
): Promise<Verification> {
  if (!found) throw different(entry.key, "the file is missing");
  if (found.kind !== "file") throw different(entry.key, `a ${found.kind} stands where the file should be`);
  const kind = { operation: "head", what: entry.key, bodyBytes: 0, bufferBytes: 0 } as const;
  const head = await requests.run(entry, kind, () => source.head(entry.key, signal), signal);
  if (found.sizeBytes !== head.sizeBytes) {
    throw different(entry.key, `the file has ${found.sizeBytes} bytes, the object ${head.sizeBytes}`);
  }
  const check = chooseCheck(head);
  const unproven = (): Verification => {
    if (lengthProves) return "lengthOnly";
    throw different(entry.key, "the service keeps no checksum to compare with");
  };
  if (check.by === "length") return unproven();
  const actual = check.by === "crc64" ? await local.crc64(path, signal) : await local.md5(path, signal);
  if (actual === check.expected) return check.by;
  if (check.by === "md5" && !check.binding) return unproven();
  throw different(entry.key, `the file's ${checkNames[check.by]} is ${actual}, the object's ${check.expected}`);
}

const checkNames = { crc64: "CRC-64", md5: "MD5" } as const;

function different(key: string, how: string): CopyError {
  return new CopyError("different", `${JSON.stringify(key)}: ${how}`);
}

function unsorted(key: string): CopyError {
  return new CopyError("source", `the listing is not in key order at ${JSON.stringify(key)}, so it cannot be compared`);
}
