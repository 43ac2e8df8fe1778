import fc from "fast-check";
import { XMLParser } from "fast-xml-parser";
import { describe, expect, it } from "vitest";
import type { CopyError } from "../../src/errors.ts";
import { parseListing } from "../../src/oss/listing-xml.ts";
import { encoded, keyOf, object, page, withKey } from "./listing-pages.ts";

describe("a page of a listing", () => {
  it("gives every field of an object", () => {
    expect(parseListing(page(object))).toEqual({
      entries: [
        {
          key: "a/b",
          sizeBytes: 77,
          etag: '"5B3C"',
          modifiedMs: Date.UTC(2024, 1, 29, 23, 59, 58, 123),
          type: "Multipart",
          storageClass: "IA",
          restored: false,
        },
      ],
      isTruncated: false,
      nextContinuationToken: undefined,
      keyCount: undefined,
      encodingType: undefined,
    });
  });

  it("reads an object the same however it is written", () => {
    const text = fc.oneof(fc.string({ maxLength: 20 }), fc.constantFrom("a%2Fb", "%252F", "x]]&gt;y", "%", " k ", "0"));
    const time = fc.oneof(
      fc.date({ noInvalidDate: true, min: new Date(0), max: new Date("2099-12-31") }).map((date) => date.toISOString()),
      fc.constantFrom("2024-02-30T00:00:00.000Z", "2024-02-29T24:00:00.000Z", "2024-02-29T23:60:00.000Z", "2024-02-29"),
    );
    const size = fc.oneof(fc.nat().map(String), fc.constantFrom("9007199254740993", "-1", "1e3", " 5 "));
    fc.assert(
      fc.property(text, time, text, size, fc.boolean(), (key, modified, etag, bytes, coded) => {
        const escaped = (raw: string): string => raw.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
        const fields = [
          `<Key>${escaped(key)}</Key>`,
          `<LastModified>${modified}</LastModified>`,
          `<ETag>${escaped(etag)}</ETag>`,
          "<Type>Normal</Type>",
          `<Size>${bytes}</Size>`,
          "<StorageClass>IA</StorageClass>",
        ];
        const read = (order: readonly string[]): unknown => {
          const document = page(`<Contents>${order.join("")}</Contents>`, coded ? encoded : undefined);
          try {
            return parseListing(document);
          } catch (error) {
            return (error as CopyError).kind;
          }
        };
        expect(read(fields)).toEqual(read(fields.toReversed()));
      }),
    );
  });

  it("may be indented, hold comments, attributes, a byte order mark and elements that nobody knows", () => {
    const document = `\ufeff<?xml version='1.0'?>\n<!-- one --><ListBucketResult xmlns="http://x/" a = '>'>
      <Name>bkt</Name>\r\n\t<New><Deep x="/>"/>text<![CDATA[<Contents>]]><!-- </New> --></New><Prefix/><Owner />
      ${object.replace("<Size>", "<Owner><ID>1</ID><DisplayName>x</DisplayName></Owner ><Size >").replaceAll("><", ">\n<")}
      <IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken><KeyCount>1</KeyCount>
    </ListBucketResult ><?pi?><!-- end -->\n`;
    expect(parseListing(document)).toMatchObject({ keyCount: 1, isTruncated: true, nextContinuationToken: "t" });
    expect(keyOf(document)).toBe("a/b");
  });

  it("may be empty", () => {
    expect(parseListing("<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>").entries).toEqual([]);
    expect(parseListing(page("", "<KeyCount>0</KeyCount><IsTruncated>false</IsTruncated>")).keyCount).toBe(0);
  });

  it("knows archived objects that can be read for now", () => {
    const restored = (info: string) =>
      parseListing(page(object.replace("<Type>", `<RestoreInfo>${info}</RestoreInfo><Type>`))).entries[0]?.restored;
    expect(restored('ongoing-request="false", expiry-date="Thu, 24 Sep 2020 12:40:33 GMT"')).toBe(true);
    expect(restored("ongoing-request=&quot;false&quot;")).toBe(true);
    expect(restored('ongoing-request="true"')).toBe(false);
  });

  it("takes a missing type and storage class for the usual ones, and new ones as they are", () => {
    const bare = object.replace(/<Type>.*<\/Type>/, "").replace(/<StorageClass>.*<\/StorageClass>/, "");
    expect(parseListing(page(bare)).entries[0]).toMatchObject({ type: "Normal", storageClass: "Standard" });
    const fresh = object.replace("Multipart", "SomethingQuiteNew").replace("IA", "DeepestArchiveOfAll");
    expect(parseListing(page(fresh)).entries[0]).toMatchObject({
      type: "SomethingQuiteNew",
      storageClass: "DeepestArchiveOfAll",
    });
  });

  it.each([
    ["&lt;&gt;&amp;&quot;&apos;", "<>&\"'"],
    ["&#65;&#x1F4be;&#x1;&#10;", "A💾\u0001\n"],
    ["&amp;lt;", "&lt;"],
    ["a<![CDATA[<&amp;]]>b<!-- no -->c", "a<&amp;bc"],
    ["<![CDATA[]]]]><![CDATA[>]]>", "]]>"],
    ["ü/💾", "ü/💾"],
    [" spaces stay ", " spaces stay "],
    ["a%20b+", "a%20b+"],
  ])("resolves %j to %j", (written, key) => {
    expect(keyOf(withKey(written))).toBe(key);
    expect(keyOf(Buffer.from(withKey(written)))).toBe(key);
  });

  it.each([
    ["a%20b%2Bc+d", "a b+c+d"],
    ["hello%20world%21", "hello world!"],
    ["%00%0a%F0%9F%92%BE%25", "\0\n💾%"],
    ["&#37;41&amp;", "A&"],
    ["ü", "ü"],
  ])("undoes the URL encoding of %j", (written, key) => {
    expect(keyOf(withKey(written, encoded))).toBe(key);
    const later = page(object.replace("a/b", written)).replace("</ListB", "<EncodingType>url</EncodingType></ListB");
    expect(keyOf(later)).toBe(key);
  });

  it("decodes the token like the keys", () => {
    const more = "<IsTruncated>true</IsTruncated><NextContinuationToken>a%2Bb%3D+</NextContinuationToken>";
    expect(parseListing(page("", more)).nextContinuationToken).toBe("a%2Bb%3D+");
    expect(parseListing(page("", `${more}<EncodingType>url</EncodingType>`)).nextContinuationToken).toBe("a+b=+");
  });

  it("is passed over however long what nobody knows is", () => {
    const inner = "t<!-- c --><B/>".repeat(200_000);
    expect(keyOf(page(`<Other>${inner}</Other>${object}`))).toBe("a/b");
  });
});

describe("a general XML parser", () => {
  const general = new XMLParser({
    parseTagValue: false,
    trimValues: false,
    htmlEntities: true,
    isArray: (name) => name === "Contents",
  });
  const escaped = (text: string, style: number): string => {
    if (style === 1 && !text.includes("]]>")) return `<![CDATA[${text}]]>`;
    const named = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
    return style === 2 ? named.replace(/[^\0-\x7f]/gu, (c) => `&#${c.codePointAt(0)};`) : named;
  };
  // White space alone and carriage returns are where general parsers go their own ways.
  const characters = fc.constantFrom(...("ab/&<>\"'%+ ;#é💾-]".match(/./gu) ?? []), "\u0085", "x");
  const key = fc.string({ unit: characters, minLength: 1, maxLength: 24 }).map((text) => `k${text}.`);
  const entry = fc.record({
    key,
    style: fc.nat(2),
    size: fc.maxSafeNat(),
    etag: fc.stringMatching(/^[0-9A-F]{4,32}(-[0-9]{1,3})?$/),
    modified: fc.date({ min: new Date(0), max: new Date("2099-12-31"), noInvalidDate: true }),
    type: fc.constantFrom("Normal", "Symlink", "NotYetInvented"),
    order: fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6], { minLength: 7 }),
    gap: fc.constantFrom("", "\n", " \t\n  "),
  });

  it("reads the same from any page", () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 12 }), fc.boolean(), fc.uuid(), (entries, truncated, token) => {
        const contents = entries.map(({ style, order, gap, ...it }) => {
          const elements = [
            `<Key>${escaped(it.key, style)}</Key>`,
            `<Size>${it.size}</Size>`,
            `<ETag>&quot;${it.etag}&quot;</ETag>`,
            `<LastModified>${it.modified.toISOString()}</LastModified>`,
            `<Type>${it.type}</Type>`,
            "<Owner><ID>1</ID><DisplayName/></Owner>",
            "<StorageClass>Standard</StorageClass>",
          ];
          return `<Contents>${gap}${order.map((i) => elements[i]).join(gap)}${gap}</Contents>${gap}`;
        });
        const document = page(
          contents.join(""),
          `<IsTruncated>${truncated}</IsTruncated><KeyCount>${entries.length}</KeyCount>` +
            `<NextContinuationToken>${truncated ? token : ""}</NextContinuationToken>`,
        );
        const ours = parseListing(document);
        const theirs = general.parse(document).ListBucketResult;
        expect(ours.isTruncated).toBe(theirs.IsTruncated === "true");
        expect(ours.nextContinuationToken ?? "").toBe(theirs.NextContinuationToken);
        const list: Readonly<Record<string, string>>[] = theirs.Contents ?? [];
        expect(ours.entries.map((it) => [it.key, String(it.sizeBytes), it.etag, it.type, it.modifiedMs])).toEqual(
          list.map((it) => [it.Key, it.Size, it.ETag, it.Type, Date.parse(it.LastModified ?? "")]),
        );
        expect(ours.entries.map((it) => it.key)).toEqual(entries.map((it) => it.key));
      }),
      { numRuns: 200 },
    );
  });
});
