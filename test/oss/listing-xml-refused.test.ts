import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CopyError } from "../../src/errors.ts";
import { parseListing } from "../../src/oss/listing-xml.ts";
import { encoded, keyOf, object, page, withKey } from "./listing-pages.ts";

function refusal(document: string | Uint8Array): string {
  try {
    parseListing(document);
  } catch (error) {
    expect(error).toBeInstanceOf(CopyError);
    expect(error).toHaveProperty("kind", "protocol");
    return error instanceof CopyError ? error.message : "";
  }
  return "accepted";
}

describe("a page of a listing", () => {
  it.each([
    ["", "it ends inside its root element"],
    ["<Error><Code>X</Code></Error>", "its root is <Error>"],
    ["<ListBucketResult/>", "does not say whether it is truncated"],
    ["<html>", "its root is <html>"],
    ["nonsense", "text stands inside"],
    ["<!DOCTYPE a><ListBucketResult/>", "a tag has no name"],
    [`${page("")}<More/>`, "something follows"],
    [`${page("")}text`, "something follows"],
    ['<?xml version="1.0" encoding="GBK"?><ListBucketResult/>', "encoded as GBK"],
    [page("text"), "text stands inside ListBucketResult"],
    [page("<![CDATA[text]]>"), "a tag has no name"],
    [page("<A></B>"), "<A> is not closed"],
    [page("<A></AB></A>"), "<A> is not closed"],
    [page("<A b></A>"), "malformed or cut"],
    [page("<A b='<'></A>"), "malformed or cut"],
    [page("< A></ A>"), "a tag has no name"],
    [page("<></>"), "a tag has no name"],
    [page(object.replace("</Contents>", "<></></Contents>")), "a tag has no name"],
    [page("<A>".repeat(100) + "</A>".repeat(100)), "nested deeper"],
    [page("\0"), "control character"],
    [page(object, "<IsTruncated>perhaps</IsTruncated>"), "does not say whether"],
    [page(object, "<IsTruncated>false</IsTruncated><IsTruncated>false</IsTruncated>"), "<IsTruncated> occurs twice"],
    [page(object, "<IsTruncated>false</IsTruncated><KeyCount>2</KeyCount>"), "announces 2 keys and holds 1"],
    [page(object, "<IsTruncated>false</IsTruncated><EncodingType>rot13</EncodingType>"), "encoded as rot13"],
    [page("<Contents/>"), "an object has no key"],
    [withKey(""), "an object has no key"],
    [page(object.replace(/<Size>.*<\/Size>/, "")), "lacks its size"],
    [page(object.replace(/<ETag>.*<\/ETag>/, "")), "lacks its size, ETag"],
    [page(object.replace("<Size>", "<Key>c</Key><Size>")), "<Key> occurs twice"],
    [page(object.replace('"5B3C"', "a\nb")), "ETag of a/b is empty or not plain"],
    [page(object.replace('"5B3C"', "")), "ETag of a/b is empty or not plain"],
    [page(object.replace('"5B3C"', "a\x7fb")), "ETag of a/b is empty or not plain"],
    [page(object.replace('"5B3C"', " ")), "ETag of a/b is empty or not plain"],
    [page(object.replace("77", "-1")), "<Size> -1"],
    [page(object.replace("77", "1e3")), "<Size> 1e3"],
    [page(object.replace("77", "9007199254740992")), "<Size> 9007199254740992"],
    [page(object.replace("2024-02-29T", "2024-02-29 ")), "no UTC time"],
    [page(object.replace("2024-02-29", "2024-13-29")), "no UTC time"],
    [withKey("a<b/>"), "<Key> holds an element"],
    [withKey("&nbsp;"), "&nbsp; is no character reference"],
    [withKey("&valueOf;"), "&valueOf; is no character reference"],
    [withKey("&"), "& is no character reference"],
    [withKey("&#xD800;"), "no character reference"],
    [withKey("&#0;"), "no character reference"],
    [withKey("&#x110000;"), "no character reference"],
    [withKey("a%2", encoded), "a%2, which has a malformed percent escape"],
    [withKey("%FF", encoded), "%FF, which is not valid UTF-8"],
    [withKey("%ED%A0%80", encoded), "not valid UTF-8"],
  ])("is refused as %j", (document, words) => {
    expect(refusal(document)).toContain(words);
  });

  it("is refused when its bytes are no UTF-8", () => {
    expect(refusal(Buffer.concat([Buffer.from(withKey("a")), Buffer.from([0xff])]))).toBe(
      "the listing is not valid UTF-8",
    );
  });

  it("is refused wherever it is cut", () => {
    const document = Buffer.from(
      withKey("ü<![CDATA[x]]>&amp;<!-- c -->", `${encoded}<Other a="1"><B/>t</Other>`).trim(),
    );
    expect(keyOf(document)).toBe("üx&");
    for (let length = 0; length < document.length; length++) {
      expect(refusal(document.subarray(0, length)), `cut at ${length}`).not.toBe("accepted");
    }
  });

  it("is read or refused, and nothing else, when bytes of it change", () => {
    const document = Buffer.from(withKey("k%20&amp;", `${encoded}<Other a="1">t</Other>`));
    const edits = fc.array(fc.tuple(fc.nat(document.length - 1), fc.constantFrom(..."<>/&;%![]\"'-? \0aé")), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(edits, (changes) => {
        const damaged = Buffer.from(document);
        for (const [at, character] of changes) damaged.write(character, at);
        refusal(damaged);
      }),
      { numRuns: 2000 },
    );
  });

  it("is judged like any other when a tag or a value is as long as a page", () => {
    const attributes = 'a="" '.repeat(3_000_000);
    expect(keyOf(page(`<Other ${attributes}/>${object}`))).toBe("a/b");
    expect(refusal(page(`<Other ${attributes}<${object}`))).toContain("malformed or cut");
    expect(refusal(withKey("&amp;".repeat(3_000_000)))).toContain("<Key> holds 15000000 bytes");
  });

  it("is told in a bounded, printable message", () => {
    const message = refusal(withKey(`&${"\u0007".repeat(5000)};`));
    expect(message.length).toBeLessThan(1000);
    expect(message).not.toMatch(/\p{Cc}/u);
  });
});
