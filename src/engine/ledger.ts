import type { CopyError, ErrorKind } from "../errors.ts";
import type { Counts, Failure, Logger, Metrics, ObjectEntry, Verification } from "../types.ts";
import type { SettledCounts } from "./checkpoint.ts";

const mostFailuresKept = 100;

/** Where every selected object ends: copied, skipped or failed. Its size does not depend on their number. */
export class Ledger {
  readonly #metrics: Metrics;
  readonly #logger: Logger;
  readonly #counts = { listed: zero(), copied: zero(), skipped: zero(), failed: zero() };
  readonly #verified = { crc64: 0, md5: 0, lengthOnly: 0 };
  readonly #failures: Failure[] = [];
  #failureCount = 0;
  readonly #kinds = new Set<ErrorKind>();
  #listingComplete = false;

  constructor(metrics: Metrics, logger: Logger) {
    this.#metrics = metrics;
    this.#logger = logger;
  }

  get counts(): Readonly<Record<"listed" | "copied" | "skipped" | "failed", Counts>> {
    return this.#counts;
  }

  get verified(): Readonly<Record<Verification, number>> {
    return this.#verified;
  }

  /** The first hundred. */
  get failures(): readonly Failure[] {
    return this.#failures;
  }

  /** Failures of all kinds, also of what the source does not list. */
  get failureCount(): number {
    return this.#failureCount;
  }

  get failuresOmitted(): number {
    return this.#failureCount - this.#failures.length;
  }

  get failureKinds(): ReadonlySet<ErrorKind> {
    return this.#kinds;
  }

  get listingComplete(): boolean {
    return this.#listingComplete;
  }

  listed(entries: readonly ObjectEntry[]): void {
    let bytes = 0;
    for (const entry of entries) bytes += entry.sizeBytes;
    add(this.#counts.listed, entries.length, bytes);
    this.#metrics.listed(entries.length, bytes, false);
  }

  /** What earlier runs of the same work have done counts as done. */
  resume({ copied, skipped, verified }: SettledCounts): void {
    const objects = copied.objects + skipped.objects;
    const bytes = copied.bytes + skipped.bytes;
    add(this.#counts.listed, objects, bytes);
    add(this.#counts.copied, copied.objects, copied.bytes);
    add(this.#counts.skipped, skipped.objects, skipped.bytes);
    for (const proof of ["crc64", "md5", "lengthOnly"] as const) this.#verified[proof] += verified[proof];
    this.#metrics.listed(objects, bytes, false);
    this.#metrics.outcome("copied", copied.bytes, copied.objects);
    this.#metrics.outcome("skipped", skipped.bytes, skipped.objects);
  }

  /** What another ledger counted, that ended with its listing and copied nothing. */
  adopt({ counts, failures, failuresOmitted, failureKinds }: Ledger): void {
    const { listed, skipped, failed } = counts;
    for (const outcome of ["listed", "skipped", "failed"] as const) {
      add(this.#counts[outcome], counts[outcome].objects, counts[outcome].bytes);
    }
    this.#failures.push(...failures);
    this.#failureCount += failures.length + failuresOmitted;
    for (const kind of failureKinds) this.#kinds.add(kind);
    this.#metrics.listed(listed.objects, listed.bytes, false);
    this.#metrics.outcome("skipped", skipped.bytes, skipped.objects);
    this.#metrics.outcome("failed", failed.bytes, failed.objects);
    this.listingEnded();
  }

  /** An object that an earlier run listed is neither in the source nor on the volume any more. */
  gone({ key, sizeBytes }: ObjectEntry): void {
    add(this.#counts.listed, -1, -sizeBytes);
    this.#metrics.listed(-1, -sizeBytes, false);
    this.#logger.info("object gone since an earlier run", { key });
  }

  listingEnded(): void {
    this.#listingComplete = true;
    this.#metrics.listed(0, 0, true);
  }

  /** `verification` is undefined for what has no bytes of its own, such as a directory. */
  copied(key: string, bytes: number, verification: Verification | undefined): void {
    add(this.#counts.copied, 1, bytes);
    if (verification) this.#verified[verification]++;
    this.#metrics.outcome("copied", bytes);
    this.#logger.debug("object copied", { key, bytes, verification });
  }

  skipped(entry: ObjectEntry, reason: string): void {
    add(this.#counts.skipped, 1, entry.sizeBytes);
    this.#metrics.outcome("skipped", entry.sizeBytes);
    this.#logger.debug("object skipped", { key: entry.key, reason });
  }

  /** An object that stands at the target as it should, proven by `verification` (directories need no proof). */
  matched(entry: ObjectEntry, verification: Verification | undefined): void {
    if (verification) this.#verified[verification]++;
    this.skipped(entry, "is equal");
  }

  failed(entry: ObjectEntry, error: CopyError): void {
    add(this.#counts.failed, 1, entry.sizeBytes);
    this.#metrics.outcome("failed", entry.sizeBytes);
    this.unlisted(entry.key, error);
  }

  /** A failure of something that the source does not list. */
  unlisted(key: string, { kind, message, requestId }: CopyError): void {
    this.#failureCount++;
    this.#kinds.add(kind);
    if (this.#failures.length < mostFailuresKept) this.#failures.push({ key, kind, message, requestId });
    this.#logger.warn("object failed", { key, kind, error: message, requestId });
  }
}

function zero(): { objects: number; bytes: number } {
  return { objects: 0, bytes: 0 };
}

function add(counts: { objects: number; bytes: number }, objects: number, bytes: number): void {
  counts.objects += objects;
  counts.bytes += bytes;
}
