import { type Content, GeneratedContent, hashText, md5Hex } from "./content.ts";
import { crcDecimal } from "./crc64.ts";

export type ObjectType = "Normal" | "Multipart" | "Appendable" | "Symlink";
export type StorageClass = "Standard" | "IA" | "Archive" | "ColdArchive" | "DeepColdArchive";

/** How an object presents itself; everything has a default. */
export interface ObjectOptions {
  readonly type?: ObjectType;
  readonly storageClass?: StorageClass;
  /** Unquoted. Default: the MD5 for Normal objects, `<hash>-1` for others. */
  readonly etag?: string;
  readonly lastModifiedMs?: number;
  readonly contentType?: string;
  readonly contentEncoding?: string;
  /** Text of the listing's RestoreInfo and of `x-oss-restore`. */
  readonly restoreInfo?: string;
  /** Key of the target: makes the object a symbolic link. */
  readonly symlinkTarget?: string;
  /** False leaves `x-oss-hash-crc64ecma` out, as for objects older than the feature. */
  readonly crc?: boolean;
  /** True sends Content-MD5 for a Normal object. */
  readonly contentMd5?: boolean;
  /** `x-oss-meta-*` headers, names without that prefix. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Generated objects carry dates that do not depend on when the emulator started. */
export const BASE_TIME_MS = Date.UTC(2024, 0, 1);

/** One version of one object, immutable. */
export class StoredObject {
  readonly key: string;
  readonly content: Content;
  readonly options: ObjectOptions;
  readonly type: ObjectType;
  readonly storageClass: StorageClass;
  readonly lastModifiedMs: number;
  #etag: string | undefined;
  #crcText: string | undefined;
  #md5: string | undefined;

  constructor(key: string, content: Content, options: ObjectOptions = {}) {
    this.key = key;
    this.content = content;
    this.options = options;
    this.type = options.symlinkTarget === undefined ? (options.type ?? "Normal") : "Symlink";
    this.storageClass = options.storageClass ?? "Standard";
    const modifiedMs = options.lastModifiedMs ?? Date.now();
    this.lastModifiedMs = modifiedMs - (modifiedMs % 1000);
    this.#etag = options.etag;
  }

  get sizeBytes(): number {
    return this.content.sizeBytes;
  }

  /** Without quotes. */
  get etag(): string {
    this.#etag ??= this.type === "Normal" ? this.#md5Hex() : opaqueEtag(this.key, this.sizeBytes, 0);
    return this.#etag;
  }

  get crcText(): string {
    this.#crcText ??= crcDecimal(this.content.crc());
    return this.#crcText;
  }

  get contentMd5(): string {
    return Buffer.from(this.#md5Hex(), "hex").toString("base64");
  }

  get contentType(): string {
    return this.options.contentType ?? "application/octet-stream";
  }

  /** True if the service would answer a read with InvalidObjectState. */
  get archived(): boolean {
    const cold = this.storageClass !== "Standard" && this.storageClass !== "IA";
    return cold && !(this.options.restoreInfo ?? "").includes('ongoing-request="false"');
  }

  #md5Hex(): string {
    this.#md5 ??= md5Hex(this.content);
    return this.#md5;
  }
}

/** ETag of an object that was not put in one piece: no MD5, and looks like none. */
export function opaqueEtag(key: string, sizeBytes: number, salt: number): string {
  let text = "";
  for (let word = 0; word < 4; word++) {
    text += hashText(key, salt * 31 + sizeBytes * 7 + word)
      .toString(16)
      .padStart(8, "0");
  }
  return `${text.toUpperCase()}-1`;
}

const REPLACEMENT_SEED = 0x5eed;
/** Above this a replacement gets an opaque ETag: its MD5 would cost a pass over all bytes. */
const MD5_ETAG_MAX_BYTES = 1_048_576;

/** The next version of `object`: other content and ETag, same size unless told, a second younger. */
export function replacementOf(object: StoredObject, generation: number, sizeBytes = object.sizeBytes): StoredObject {
  const { etag: _, ...kept } = object.options;
  const content = new GeneratedContent({ seed: REPLACEMENT_SEED, key: object.key, sizeBytes, generation });
  const md5 = object.type === "Normal" && sizeBytes <= MD5_ETAG_MAX_BYTES;
  const etag = opaqueEtag(object.key, sizeBytes, REPLACEMENT_SEED + generation);
  const lastModifiedMs = object.lastModifiedMs + 1000;
  return new StoredObject(object.key, content, { ...kept, ...(md5 ? {} : { etag }), lastModifiedMs });
}
