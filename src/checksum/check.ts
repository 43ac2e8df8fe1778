/** How the bytes of an object can be proven right, strongest first. */
export type Check =
  | { readonly by: "crc64"; readonly expected: bigint }
  /** `expected` is Base64; when not `binding`, a difference proves nothing (an ETag is an MD5 only after simple puts). */
  | { readonly by: "md5"; readonly expected: string; readonly binding: boolean }
  | { readonly by: "length" };

const md5Etag = /^"?([0-9A-Fa-f]{32})"?$/;

/** Chooses by what the service sent: its CRC-64, else Content-MD5, else an ETag that looks like an MD5, else nothing. */
export function chooseCheck(head: {
  readonly crc64: bigint | undefined;
  readonly contentMd5: string | undefined;
  readonly etag: string;
}): Check {
  if (head.crc64 !== undefined) return { by: "crc64", expected: head.crc64 };
  if (head.contentMd5 !== undefined) return { by: "md5", expected: head.contentMd5, binding: true };
  const digest = md5Etag.exec(head.etag)?.[1];
  if (digest === undefined) return { by: "length" };
  return { by: "md5", expected: Buffer.from(digest, "hex").toString("base64"), binding: false };
}
