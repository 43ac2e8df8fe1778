import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ResponseReader } from "../../../src/oss/http/response-reader.ts";
import { pattern } from "../../contract/transport-server.ts";
import { atOnce, deliveries, type Result, receive, Sink } from "./receive.ts";

function parse(text: string, method: "GET" | "HEAD" = "GET"): Result {
  return receive(Buffer.from(text, "latin1"), atOnce, method);
}

const head = (lines: string): string => `HTTP/1.1 200 OK\r\n${lines}\r\n`;

describe("a response head", () => {
  const refused: Record<string, string> = {
    "without a version": "200 OK\r\nContent-Length: 0\r\n\r\n",
    "of HTTP/2": "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "with a status of two digits": "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "with a status of four digits": "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "with a status over 599": "HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
    "with two spaces before the status": "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
    "with a folded line": head("X: a\r\n b\r\nContent-Length: 0\r\n"),
    "with a space before the colon": head("Content-Length : 0\r\n"),
    "with an empty name": head(": x\r\nContent-Length: 0\r\n"),
    "with a name that is no token": head("a(b: x\r\nContent-Length: 0\r\n"),
    "with a bare LF": head("X: a\nContent-Length: 0\r\n"),
    "with a bare CR": head("X: a\rb\r\nContent-Length: 0\r\n"),
    "with a NUL": head("X: a\0b\r\nContent-Length: 0\r\n"),
    "with LF line ends alone": "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "with two different lengths": head("Content-Length: 1\r\ncontent-length: 2\r\n"),
    "with a list of lengths": head("Content-Length: 1, 1\r\n"),
    "with a signed length": head("Content-Length: +1\r\n"),
    "with a hexadecimal length": head("Content-Length: 0x1\r\n"),
    "with an empty length": head("Content-Length:\r\n"),
    "with a length beyond what can be counted": head("Content-Length: 99999999999999999\r\n"),
    "with a length and chunks": head("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
    "with another transfer coding": head("Transfer-Encoding: gzip, chunked\r\n"),
    "with the transfer coding twice": head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    "of HTTP/1.0 with chunks": "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "with too many headers": head(`${"a: b\r\n".repeat(201)}Content-Length: 0\r\n`),
    "that switches protocols": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "after too many informational ones": `${"HTTP/1.1 100 Continue\r\n\r\n".repeat(20)}${head("Content-Length: 0\r\n")}`,
    "of an error without length that would be kept alive": "HTTP/1.1 404 No\r\n\r\n",
  };
  for (const [what, text] of Object.entries(refused)) {
    test(`${what} is refused, and not shown to the handler`, () => {
      expect(parse(text)).toEqual({ head: undefined, body: "", outcome: "refused" });
    });
  }

  test("larger than 64 KiB is refused, one that just fits is not", () => {
    const sized = (bytes: number): string => {
      const rest = head("X: \r\nContent-Length: 0\r\n").length;
      return head(`X: ${"x".repeat(bytes - rest)}\r\nContent-Length: 0\r\n`);
    };
    expect(parse(sized(64 * 1024 + 1)).outcome).toBe("refused");
    expect(parse(sized(64 * 1024)).outcome).toBe("done");
  });

  test("may name a header like a member of every object", () => {
    const { head: seen } = parse(head("constructor: a\r\n__proto__: b\r\nContent-Length: 0\r\n"));
    expect(Object.entries(seen?.headers ?? {})).toEqual([
      ["constructor", "a"],
      ["__proto__", "b"],
      ["content-length", "0"],
    ]);
  });

  test("may have no reason, the same length twice, and bytes above ASCII", () => {
    const text = "HTTP/1.1 200\r\nContent-Length: 2\r\nContent-Length: 2\r\nX:\t caf\xe9 \t\r\n\r\nhi";
    expect(parse(text)).toMatchObject({ head: { headers: { "content-length": "2", x: "caf\xe9" } }, body: "hi" });
  });

  test("is the same whatever the head before it was", () => {
    const reader = new ResponseReader();
    const names = ["A", "Content-Length", "b", "Content-Length-X", "content-length"];
    for (const first of names) {
      for (const second of names) {
        const lines = [`${first}: 0`, `${second}: 0`].join("\r\n");
        const sink = new Sink([10]);
        const bytes = Buffer.from(`HTTP/1.1 404 No\r\n${lines}\r\nConnection: close\r\n\r\n`);
        reader.begin("HEAD", sink, { resume: () => {} });
        reader.target().set(bytes);
        reader.received(bytes.length);
        const repeated = first.toLowerCase() === second.toLowerCase() && first.toLowerCase() !== "content-length";
        const expected = new Map([
          [first.toLowerCase(), "0"],
          [second.toLowerCase(), repeated ? "0, 0" : "0"],
          ["connection", "close"],
        ]);
        expect(new Map(Object.entries(sink.headSeen?.headers ?? {}))).toEqual(expected);
      }
    }
  });
});

describe("the chunked coding", () => {
  const chunked = (body: string): Result => parse(`HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n${body}`);

  for (const body of [
    "\r\n",
    "g\r\n",
    "-1\r\n",
    "0x1\r\nx\r\n0\r\n\r\n",
    "1\nx\r\n0\r\n\r\n",
    "1\r\nxx\r\n0\r\n\r\n",
    "1\r\nx0\r\n\r\n",
    "1111111111111\r\n",
    `1;${"x".repeat(5000)}\r\nx\r\n0\r\n\r\n`,
    "0\r\nbad trailer\r\n\r\n",
    "0\r\n x: folded\r\n\r\n",
    `0\r\n${`x: ${"y".repeat(1000)}\r\n`.repeat(20)}\r\n`,
  ]) {
    test(`refuses ${JSON.stringify(body.slice(0, 30))}`, () => {
      expect(chunked(body).outcome).toBe("refused");
    });
  }

  test("passes over extensions and trailers", () => {
    expect(chunked('2;a="b;c" ;d\r\nhi\r\n000\r\nX: y\r\n\r\n')).toMatchObject({ body: "hi", outcome: "done" });
  });

  test("without its end is not complete", () => {
    for (const body of ["", "2\r\nh", "2\r\nhi", "2\r\nhi\r\n", "2\r\nhi\r\n0\r\n", "2\r\nhi\r\n0\r\nX: y\r\n"]) {
      expect(chunked(body).outcome).toBe("cut");
    }
  });
});

describe("after the body", () => {
  test("further bytes make the connection unusable, their absence does not", () => {
    for (const extra of ["", "x"]) {
      const reader = new ResponseReader();
      const bytes = Buffer.from(`${head("Content-Length: 2\r\n")}hi${extra}`);
      reader.begin("GET", new Sink([100]), { resume: () => {} });
      reader.target().set(bytes);
      expect(reader.received(bytes.length)).toBe("done");
      expect(reader.reusable).toBe(extra === "");
      expect(reader.received(1)).toBe("unsolicited");
    }
  });

  test("the handler's memory gets none of them", () => {
    const body = "x".repeat(100_000);
    const bytes = Buffer.from(`${head(`Content-Length: ${body.length}\r\n`)}${body}HTTP/1.1 200 OK\r\n`);
    const { body: got, outcome } = receive(bytes, { reads: [1 << 20], buffers: [30_000, 50_000], lateReads: 0 });
    expect(got).toBe(body);
    expect(outcome).toBe("done");
  });
});

const fine = deliveries(fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 1000 })));
const coarse = deliveries(fc.integer({ min: 500, max: 70_000 }));

const token = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,20}$/);
const value = fc.stringMatching(/^[\x20-\x7e\x80-\xff]{0,40}$/);

function responses(maxBodyBytes: number): fc.Arbitrary<{ readonly bytes: Buffer; readonly body: string }> {
  const body = fc.oneof(
    fc.string({ unit: "binary-ascii", maxLength: 100 }),
    fc.integer({ min: 0, max: maxBodyBytes }).map((bytes) => pattern(bytes).toString("latin1")),
  );
  const framed = fc.oneof(
    body.map((text) => ({ text: `Content-Length: ${text.length}\r\n\r\n${text}`, body: text })),
    fc.array(body, { maxLength: 5 }).map((chunks) => {
      const data = chunks.filter((chunk) => chunk !== "");
      const lines = data.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`);
      return { text: `Transfer-Encoding: chunked\r\n\r\n${lines.join("")}0\r\n\r\n`, body: data.join("") };
    }),
  );
  const headers = fc.array(fc.tuple(token, value), { maxLength: 20 });
  return fc.tuple(headers, framed).map(([fields, { text, body: expected }]) => ({
    bytes: Buffer.from(`HTTP/1.1 200 OK\r\n${fields.map(([n, v]) => `x${n}: ${v}\r\n`).join("")}${text}`, "latin1"),
    body: expected,
  }));
}

describe("whatever the network and the handler do", () => {
  for (const [what, response, delivery] of [
    ["small", responses(1_000), fine],
    ["large", responses(300_000), coarse],
  ] as const) {
    test(`the same bytes give the same response (${what})`, () => {
      fc.assert(
        fc.property(response, delivery, ({ bytes, body }, how) => {
          const once = receive(bytes, atOnce);
          expect(once.outcome).toBe("done");
          expect(once.body === body).toBe(true);
          expect(receive(bytes, how)).toEqual(once);
        }),
        { numRuns: 150 },
      );
    });
  }

  test("damaged responses are judged the same however they arrive, and never hang", () => {
    const damage = fc.array(
      fc.tuple(fc.nat(), fc.constantFrom("\r", "\n", "\r\n", "\0", ":", " ", "0", "f", "\xff", ""), fc.nat(3)),
      {
        minLength: 1,
        maxLength: 4,
      },
    );
    fc.assert(
      fc.property(responses(1_000), damage, fine, ({ bytes }, changes, how) => {
        let text = bytes.toString("latin1");
        for (const [where, insert, remove] of changes) {
          const at = where % Math.min(text.length, 400);
          text = text.slice(0, at) + insert + text.slice(at + remove);
        }
        const damaged = Buffer.from(text, "latin1");
        expect(receive(damaged, how)).toEqual(receive(damaged, atOnce));
      }),
      { numRuns: 500 },
    );
  });

  test("garbage is refused or waited for, and never hangs", () => {
    const garbage = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.concat([Buffer.from("HTTP/1.1 200 OK\r\n"), bytes])),
      fc
        .uint8Array({ maxLength: 300 })
        .map((bytes) => Buffer.concat([Buffer.from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), bytes])),
    );
    fc.assert(
      fc.property(garbage, fine, (bytes, how) => {
        const result = receive(Buffer.from(bytes), how);
        expect(["refused", "cut", "done", "ended"]).toContain(result.outcome);
        expect(receive(Buffer.from(bytes), atOnce)).toEqual(result);
      }),
      { numRuns: 1000 },
    );
  });
});
