/** A forward scan over one XML document: well-formedness of what it passes, no tree, no copies but those asked for. */

import { isUtf8 } from "node:buffer";
import { CopyError } from "../errors.ts";
import { printable } from "./printable.ts";
import { decodeEntities } from "./xml-entities.ts";

const maxDepth = 64;
/** A key has 1,023 bytes at most; each may be written as `%XX`, and each character of that as a reference. */
const maxLeafBytes = 64 * 1024;
const attribute = /\s+[^\s=<>"'/]+\s*=\s*(?:"[^"<]*"|'[^'<]*')/y;
const tagEnd = /\s*(\/?)>/y;

const tab = 0x09;
const lineFeed = 0x0a;
const space = 0x20;
const bang = 0x21;
const ampersand = 0x26;
const slash = 0x2f;
const lessThan = 0x3c;
const greaterThan = 0x3e;
const question = 0x3f;
const tilde = 0x7e;

/** By byte: 1 for what is not printable ASCII, and for `&`. */
const odd = Uint8Array.from({ length: 256 }, (_, c) => (c < space || c > tilde || c === ampersand ? 1 : 0));

/**
 * Throws CopyError `protocol` at the first byte that no complete, well-formed document can hold there. Works on bytes,
 * since markup is ASCII in UTF-8 too, and the memory of a string as long as a page costs more than reading the page.
 */
export class XmlScanner {
  readonly bytes: Buffer;
  /** Where the content of the last leaf lies, and whether it is printable ASCII that stands for itself. */
  from = 0;
  to = 0;
  isPlain = true;
  readonly #subject: string;
  /** The last word of each kind, by length and first byte, with a place where it stands. */
  readonly #words: { readonly text: string; readonly at: number }[] = [];
  #at = 0;
  /** The element opened last was `<name/>`. */
  #empty = false;

  /** `subject` names the document in errors. */
  constructor(document: Uint8Array | string, subject: string) {
    this.#subject = subject;
    this.bytes =
      typeof document === "string"
        ? Buffer.from(document)
        : Buffer.from(document.buffer, document.byteOffset, document.byteLength);
    if (!isUtf8(this.bytes)) throw new CopyError("protocol", `${subject} is not valid UTF-8`);
    if (this.#stands("\xef\xbb\xbf", 0)) this.#at = 3;
    const beginning = this.bytes.toString("latin1", this.#at, this.#at + 256);
    const encoding = /^<\?xml\s[^>]*encoding\s*=\s*["']([^"']*)/.exec(beginning)?.[1];
    if (encoding !== undefined && !/^(utf-?8|us-ascii)$/i.test(encoding)) {
      this.fail(`it is encoded as ${printable(encoding, 32)}, not UTF-8`);
    }
  }

  /** Enters the document's only element. */
  root(name: string): void {
    const found = this.#next("its root element");
    if (found !== name) this.fail(`its root is <${printable(found ?? "/", 64)}>, not <${name}>`);
  }

  /**
   * Enters the next element inside `parent` and gives its name; undefined once `parent` has closed. `guess` is a name that
   * is tried first, which saves reading the name.
   */
  child(parent: string, guess?: string): string | undefined {
    if (this.#empty) {
      this.#empty = false;
      return undefined;
    }
    const name = this.#next(parent, guess);
    if (name === undefined) this.#close(parent);
    return name;
  }

  /** Passes the leaf `name` just entered, which may hold comments and CDATA but no element. */
  leaf(name: string): void {
    const { bytes } = this;
    const from = this.#at;
    let at = from;
    let oddities = 0;
    if (this.#empty) {
      this.#empty = false;
    } else {
      for (;;) {
        let c = bytes[at];
        for (; c !== lessThan && c !== undefined; c = bytes[++at]) oddities |= odd[c] ?? 1;
        if (c === undefined) this.fail(`it ends inside ${printable(name, 64)}`);
        if (bytes[at + 1] === slash) break;
        at = this.#passInLeaf(name, at);
        oddities = 1;
      }
      if (at - from > maxLeafBytes) this.fail(`<${name}> holds ${at - from} bytes, more than ${maxLeafBytes}`);
      this.#at = at;
      this.#close(name);
    }
    this.from = from;
    this.to = at;
    this.isPlain = oddities === 0;
  }

  /** What the last leaf says. */
  text(): string {
    const { bytes, from, to } = this;
    return this.isPlain ? bytes.toString("latin1", from, to) : this.#resolve(bytes.toString("utf8", from, to));
  }

  /** What the leaf `name` just entered says. */
  string(name: string): string {
    this.leaf(name);
    return this.text();
  }

  /** The same for one of few words, of which a string is made only once. */
  word(name: string): string {
    this.leaf(name);
    return this.isPlain ? this.#word(this.from, this.to) : this.text();
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
      if (this.bytes[this.#at] !== lessThan) continue;
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
    if (this.#passMisc(false) < this.bytes.length) this.fail("something follows its root element");
  }

  fail(what: string): never {
    throw new CopyError("protocol", `${this.#subject} is malformed near byte ${this.#at}: ${what}`);
  }

  /** Name of the tag that opens here, or undefined at a closing tag, which is left for `#close`. */
  #next(where: string, guess?: string): string | undefined {
    const { bytes } = this;
    let at = this.#at;
    if (guess !== undefined) {
      for (let c = bytes[at]; c === space || c === lineFeed; c = bytes[++at]);
      const behind = at + 1 + guess.length;
      if (bytes[behind] === greaterThan && bytes[at] === lessThan && this.#stands(guess, at + 1)) {
        this.#at = behind + 1;
        return guess;
      }
    }
    at = this.#passMisc(false);
    const c = bytes[at];
    if (c === undefined) this.fail(`it ends inside ${printable(where, 64)}`);
    if (c !== lessThan) this.fail(`text stands inside ${printable(where, 64)}`);
    return bytes[at + 1] === slash ? undefined : this.#open();
  }

  /** Moves past white space, comments, processing instructions and, if asked to, CDATA. */
  #passMisc(cdata: boolean): number {
    const { bytes } = this;
    for (;;) {
      let at = this.#at;
      for (let c = bytes[at]; c !== undefined && c <= space; c = bytes[++at]) {
        if (c < tab) this.fail("a control character stands between its elements");
      }
      this.#at = at;
      const second = bytes[at] === lessThan ? bytes[at + 1] : 0;
      if (second === question) this.#at = this.#find("?>", at, "a processing instruction") + 2;
      else if (second === bang && this.#stands("<!--", at)) this.#at = this.#find("-->", at + 4, "a comment") + 3;
      else if (second === bang && cdata && this.#stands("<![CDATA[", at)) this.#at = this.#find("]]>", at, "CDATA") + 3;
      else return at;
    }
  }

  /** Behind the comment or CDATA that begins at `at`. */
  #passInLeaf(name: string, at: number): number {
    this.#at = at;
    if (this.#stands("<![CDATA[", at)) return this.#find("]]>", at, "CDATA") + 3;
    if (this.#stands("<!--", at)) return this.#find("-->", at + 4, "a comment") + 3;
    return this.fail(`<${name}> holds an element`);
  }

  #open(): string {
    const { bytes } = this;
    const start = this.#at + 1;
    let end = start;
    for (let c = bytes[end]; c !== undefined && c > space && c !== greaterThan && c !== slash; c = bytes[++end]);
    if (!isNameStart(bytes[start])) this.fail(end >= bytes.length ? "it ends inside a tag" : "a tag has no name");
    const name = this.#word(start, end);
    if (bytes[end] === greaterThan) this.#at = end + 1;
    else this.#passAttributes(name, end);
    return name;
  }

  /** Moves behind the tag whose name ends at `start`. */
  #passAttributes(name: string, start: number): void {
    const next = this.bytes.indexOf(lessThan, start); // what none of them can hold
    const text = this.bytes.toString("latin1", start, next < 0 ? this.bytes.length : next);
    let end = 0;
    // One at a time: as one pattern, a page of them would exhaust the stack of the matcher.
    for (attribute.lastIndex = end; attribute.test(text); end = attribute.lastIndex);
    tagEnd.lastIndex = end;
    const rest = tagEnd.exec(text);
    if (rest === null) this.fail(`the tag <${printable(name, 64)}> is malformed or cut`);
    this.#empty = rest[1] === "/";
    this.#at = start + tagEnd.lastIndex;
  }

  #close(name: string): void {
    const { bytes } = this;
    let at = this.#at + 2;
    if (!this.#stands(name, at)) this.fail(`<${printable(name, 64)}> is not closed`);
    at += name.length;
    for (let c = bytes[at]; c !== undefined && c <= space; c = bytes[++at]);
    if (bytes[at] !== greaterThan) this.fail(`<${printable(name, 64)}> is not closed`);
    this.#at = at + 1;
  }

  /** The text between two places, as a string that is made once for all places where it stands. */
  #word(from: number, to: number): string {
    const { bytes } = this;
    const slot = ((to - from) * 4 + (bytes[from] ?? 0)) & 63;
    const known = this.#words[slot];
    if (known !== undefined) {
      let at = from;
      for (let other = known.at; at < to && bytes[at] === bytes[other]; other++) at++;
      if (at === to && known.text.length === to - from) return known.text;
    }
    const text = bytes.toString("latin1", from, to);
    this.#words[slot] = { text, at: from };
    return text;
  }

  /** Whether `text`, one byte a character, stands at `at`. */
  #stands(text: string, at: number): boolean {
    const { bytes } = this;
    for (let i = 0; i < text.length; i++, at++) if (bytes[at] !== text.charCodeAt(i)) return false;
    return true;
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
    const at = this.bytes.indexOf(what, from);
    if (at < 0) this.fail(`it ends inside ${printable(where, 64)}`);
    return at;
  }
}

function isNameStart(c: number | undefined): boolean {
  if (c === undefined) return false;
  const lower = c | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || c === 0x5f || c === 0x3a || c >= 0x80;
}
