/** Writes request heads; whatever could end a line or the path early is refused. */
import type { HttpRequest } from "./transport.ts";
import { authority, type TransportOptions } from "./transport-options.ts";

const notInPath = /[^\x21-\x7e\x80-\xff]/;
const notInName = /[^!#$%&'*+\-.^_`|~0-9A-Za-z]/;
const notInValue = /[^\t\x20-\x7e\x80-\xff]/;

export class RequestText {
  readonly #host: string;
  /** Names that have been checked; they are the caller's own, and few. */
  readonly #names = new Set<string>();

  constructor(options: Pick<TransportOptions, "origin" | "hostHeader">) {
    this.#host = options.hostHeader ?? authority(options.origin);
  }

  /** The head as it goes on the wire, in latin1. Throws TypeError for what cannot be sent verbatim: a bug of the caller. */
  of(request: HttpRequest): string {
    const { path, headers } = request;
    if (!path.startsWith("/") || notInPath.test(path)) throw new TypeError("path is not ready for the wire");
    let host = this.#host;
    let lines = "";
    let values = "";
    for (const name in headers) {
      const value = headers[name];
      if (value === undefined) continue;
      if (!this.#isName(name)) throw new TypeError(`header ${JSON.stringify(name)} cannot be sent`);
      values += value;
      if (name.length === 4 && name.toLowerCase() === "host") host = value;
      else lines += `${name}: ${value}\r\n`;
    }
    // All at once: each character is judged by itself, and starting a search takes longer than the search.
    if (notInValue.test(values)) throw new TypeError("a header's value cannot be sent");
    return `${request.method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`;
  }

  #isName(name: string): boolean {
    if (this.#names.has(name)) return true;
    if (name === "" || notInName.test(name)) return false;
    this.#names.add(name);
    return true;
  }
}
