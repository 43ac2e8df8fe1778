/** A forward scan over one XML document: well-formedness of what it passes, no tree, no copies but those asked for. */

import { isUtf8 } from "node:buffer";
import { CopyError } from "../errors.ts";
import { printable } from "./printable.ts";

const maxDepth = 64;
/** A key has 1,023 bytes at most; each may be written as `%XX`, and each character of that as a reference. */
const maxLeafBytes = 64 * 1024;
const attribute = /\s+[^\s=<>"'/]+\s*=\s*(?:"[^"<]*"|'[^'<]*')/y;
const tagEnd = /\s*(\/?)>/y;
const entity = /&(?:([A-Za-z]{1,8}|#[0-9]{1,10}|#x[0-9A-Fa-f]{1,10});)?/g;
const named: ReadonlyMap<string, string> = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
]);

const tab = 0x09;
const space = 0x20;
const bang = 0x21;
const slash = 0x2f;
const lessThan = 0x3c;
const greaterThan = 0x3e;
const question = 0x3f;

/** Resolves the five named and all numeric references; `refuse` decides what an unknown one becomes. */
export function decodeEntities(text: string, refuse: (reference: string) => string): string {
  return text.replace(entity, (reference: string, name: string | undefined) => {
    if (name === undefined) return refuse(reference);
    if (!name.startsWith("#")) return named.get(name) ?? refuse(reference);
    const point = name[1] === "x" ? Number.parseInt(name.slice(2), 16) : Number.parseInt(name.slice(1), 10);
    const isCharacter = point > 0 && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
    return isCharacter ? String.fromCodePoint(point) : refuse(reference);
  });
}

/** Throws CopyError `protocol` at the first byte that no complete, well-formed document can hold there. */
export class XmlScanner {
  readonly #bytes: Buffer;
  /** One character a byte, so that positions are byte positions; markup is ASCII in UTF-8 too. */
  readonly #text: string;
  readonly #subject: string;
  #at = 0;
  /** The element opened last was `<name/>`. */
  #empty = false;

  /** `subject` names the document in errors. */
  constructor(document: Uint8Array | string, subject: string) {
    this.#subject = subject;
    this.#bytes =
      typeof document === "string"
        ? Buffer.from(document)
        : Buffer.from(document.buffer, document.byteOffset, document.byteLength);
    if (!isUtf8(this.#bytes)) throw new CopyError("protocol", `${subject} is not valid UTF-8`);
    this.#text = this.#bytes.toString("latin1");
    if (this.#text.startsWith("\xef\xbb\xbf")) this.#at = 3;
    const encoding = /^<\?xml\s[^>]*encoding\s*=\s*["']([^"']*)/.exec(this.#text.slice(this.#at, this.#at + 256))?.[1];
    if (encoding !== undefined && !/^(utf-?8|us-ascii)$/i.test(encoding)) {
      this.fail(`it is encoded as ${printable(encoding, 32)}, not UTF-8`);
    }
  }

  /** Enters the document's only element. */
  root(name: string): void {
    const found = this.#next("its root element");
    if (found !== name) this.fail(`its root is <${printable(found ?? "/", 64)}>, not <${name}>`);
  }

  /** Enters the next element inside `parent` and gives its name; undefined once `parent` has closed. */
  child(parent: string): string | undefined {
    if (this.#empty) {
      this.#empty = false;
      return undefined;
    }
    const name = this.#next(parent);
    if (name === undefined) this.#close(parent);
    return name;
  }

  /** The content of the leaf `name` just entered, for ASCII values that nobody keeps: it may hold on to the document. */
  token(name: string): string {
    const [start, end] = this.#leaf(name);
    const text = this.#text.slice(start, end);
    return text.includes("&") || text.includes("<") ? this.#resolve(text) : text;
  }

  /** The content of the leaf `name` just entered, as a string of its own. */
  string(name: string): string {
    const [start, end] = this.#leaf(name);
    const text = this.#bytes.toString("utf8", start, end);
    return text.includes("&") || text.includes("<") ? this.#resolve(text) : text;
  }

  /** Passes over whole elements that a sticky pattern matches right here; undefined, and nothing passed, if it does not. */
  take(pattern: RegExp): RegExpExecArray | undefined {
    if (this.#empty) return undefined;
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found === null) return undefined;
    this.#at = pattern.lastIndex;
    return found;
  }

  /** The ASCII text between two positions, as a string of its own. */
  copy(start: number, end: number): string {
    return this.#bytes.toString("latin1", start, end);
  }

  /** Passes over the element `name` just entered with all that it holds. */
  skip(name: string): void {
    if (this.#empty) {
      this.#empty = false;
      return;
    }
    const open = [name];
    for (let inner = open.at(-1); inner !== undefined; inner = open.at(-1)) {
      this.#at = this.#find("<", this.#at, inner);
      this.#passMisc(true);
      if (this.#text.charCodeAt(this.#at) !== lessThan) continue;
      const opened = this.#next(inner);
      if (opened === undefined) {
        this.#close(inner);
        open.pop();
      } else if (this.#empty) {
        this.#empty = false;
      } else if (open.push(opened) > maxDepth) {
        this.fail(`elements are nested deeper than ${maxDepth}`);
      }
    }
  }

  /** Checks that nothing follows the root. */
  end(): void {
    if (this.#passMisc(false) < this.#text.length) this.fail("something follows its root element");
  }

  fail(what: string): never {
    throw new CopyError("protocol", `${this.#subject} is malformed near byte ${this.#at}: ${what}`);
  }

  /** Name of the tag that opens here, or undefined at a closing tag, which is left for `#close`. */
  #next(where: string): string | undefined {
    const at = this.#atTag() ? this.#at : this.#passMisc(false);
    if (at >= this.#text.length) this.fail(`it ends inside ${printable(where, 64)}`);
    if (this.#text.charCodeAt(at) !== lessThan) this.fail(`text stands inside ${printable(where, 64)}`);
    return this.#text.charCodeAt(at + 1) === slash ? undefined : this.#open();
  }

  #atTag(): boolean {
    if (this.#text.charCodeAt(this.#at) !== lessThan) return false;
    const second = this.#text.charCodeAt(this.#at + 1);
    return second !== bang && second !== question;
  }

  /** Moves past white space, comments, processing instructions and, if asked to, CDATA. */
  #passMisc(cdata: boolean): number {
    const text = this.#text;
    for (;;) {
      let at = this.#at;
      for (let c = text.charCodeAt(at); c <= space; c = text.charCodeAt(++at)) {
        if (c < tab) this.fail("a control character stands between its elements");
      }
      this.#at = at;
      const second = text.charCodeAt(at) === lessThan ? text.charCodeAt(at + 1) : 0;
      if (second === question) this.#at = this.#find("?>", at, "a processing instruction") + 2;
      else if (second === bang && text.startsWith("<!--", at)) this.#at = this.#find("-->", at + 4, "a comment") + 3;
      else if (second === bang && cdata && text.startsWith("<![CDATA[", at))
        this.#at = this.#find("]]>", at, "CDATA") + 3;
      else return at;
    }
  }

  #open(): string {
    const text = this.#text;
    const start = this.#at + 1;
    let end = start;
    for (let c = text.charCodeAt(end); c > space && c !== greaterThan && c !== slash; c = text.charCodeAt(++end));
    const name = text.slice(start, end);
    if (!isNameStart(text.charCodeAt(start)))
      this.fail(end >= text.length ? "it ends inside a tag" : "a tag has no name");
    if (text.charCodeAt(end) === greaterThan) {
      this.#at = end + 1;
      return name;
    }
    // One at a time: as one pattern, a page of them would exhaust the stack of the matcher.
    for (attribute.lastIndex = end; attribute.test(text); end = attribute.lastIndex);
    tagEnd.lastIndex = end;
    const rest = tagEnd.exec(text);
    if (rest === null) this.fail(`the tag <${printable(name, 64)} is malformed or cut`);
    this.#empty = rest[1] === "/";
    this.#at = tagEnd.lastIndex;
    return name;
  }

  #close(name: string): void {
    const text = this.#text;
    let at = this.#at + 2;
    if (!text.startsWith(name, at)) this.fail(`<${printable(name, 64)}> is not closed`);
    at += name.length;
    while (text.charCodeAt(at) <= space) at++;
    if (text.charCodeAt(at) !== greaterThan) this.fail(`<${printable(name, 64)}> is not closed`);
    this.#at = at + 1;
  }

  /** Bounds of the content of a leaf, which may hold comments and CDATA but no element. */
  #leaf(name: string): [start: number, end: number] {
    const start = this.#at;
    if (this.#empty) {
      this.#empty = false;
      return [start, start];
    }
    const text = this.#text;
    let end = this.#find("<", start, name);
    while (text.charCodeAt(end + 1) !== slash) {
      this.#at = end;
      if (text.startsWith("<![CDATA[", end)) end = this.#find("]]>", end, "CDATA");
      else if (text.startsWith("<!--", end)) end = this.#find("-->", end + 4, "a comment");
      else this.fail(`<${name}> holds an element`);
      end = this.#find("<", end, name);
    }
    if (end - start > maxLeafBytes) this.fail(`<${name}> holds ${end - start} bytes, more than ${maxLeafBytes}`);
    this.#at = end;
    this.#close(name);
    return [start, end];
  }

  #resolve(text: string): string {
    // CDATA and comments first, so that an ampersand inside CDATA stays what it is.
    const parts = text.split(/(<!\[CDATA\[.*?\]\]>|<!--.*?-->)/s);
    const refuse = (reference: string): never => this.fail(`${printable(reference)} is no character reference`);
    return parts
      .map((part) => {
        if (part.startsWith("<!--")) return "";
        return part.startsWith("<![CDATA[") ? part.slice(9, -3) : decodeEntities(part, refuse);
      })
      .join("");
  }

  #find(what: string, from: number, where: string): number {
    const at = this.#text.indexOf(what, from);
    if (at < 0) this.fail(`it ends inside ${printable(where, 64)}`);
    return at;
  }
}

function isNameStart(c: number): boolean {
  const lower = c | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || c === 0x5f || c === 0x3a || c >= 0x80;
}
