/** Pages of listings in the form that the service gives them. */

import { parseListing } from "../../src/oss/listing-xml.ts";

/** Written as the service writes it. */
export const object =
  '<Contents><Key>a/b</Key><LastModified>2024-02-29T23:59:58.123Z</LastModified><ETag>"5B3C"</ETag>' +
  "<Type>Multipart</Type><Size>77</Size><StorageClass>IA</StorageClass></Contents>";

export function page(inner: string, more = "<IsTruncated>false</IsTruncated>"): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult>${more}${inner}</ListBucketResult>\n`;
}

export function withKey(key: string, more?: string): string {
  return page(
    object.replace("a/b", () => key),
    more,
  );
}

export function keyOf(document: string | Uint8Array): string | undefined {
  return parseListing(document).entries[0]?.key;
}

/** What a page says of keys that are percent-encoded. */
export const encoded = "<IsTruncated>false</IsTruncated><EncodingType>url</EncodingType>";
