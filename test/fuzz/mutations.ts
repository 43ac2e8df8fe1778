import fc from "fast-check";
import type { CorpusEntry } from "./campaign.ts";

/** What parsers of any kind stumble over. */
const everywhere = [
  ...[
    "",
    "\0",
    "\n",
    "\r",
    "\r\n",
    "\t",
    " ",
    "/",
    "..",
    "%",
    "%00",
    "%2F",
    "%C3%28",
    "&",
    "<",
    ">",
    '"',
    "'",
    ":",
    ";",
  ],
  ...["-1", "0", "00", "1", "255", "65536", "4294967296", "9007199254740992", "99999999999999999999", "1e9", "0x10"],
  ...[
    "\x7f",
    "\x80",
    "\x9b",
    "\xc3",
    "\xff",
    "\xef\xbb\xbf",
    "\u00e9",
    "__proto__",
    "constructor",
    "valueOf",
    "NaN",
    "null",
  ],
];

type Edit = (bytes: Buffer) => Buffer;

/** Inputs of the corpus as they are, and with up to eight changes: pieces lost, doubled, swapped, replaced. */
export function mutated(corpus: readonly CorpusEntry[], words: readonly string[] = []): fc.Arbitrary<Buffer> {
  const all = corpus.map(({ bytes }) => bytes);
  const edits = fc.array(editOf(all, [...words, ...everywhere]), { maxLength: 8 });
  return fc.tuple(fc.constantFrom(...all), edits).map(([base, changes]) => {
    let bytes = base;
    for (const change of changes) bytes = change(bytes);
    return bytes;
  });
}

/** A stretch of whatever bytes there are. */
const stretch = fc.record({
  where: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.oneof({ weight: 4, arbitrary: fc.nat(8) }, fc.nat(200)),
});
type Stretch = typeof stretch extends fc.Arbitrary<infer S> ? S : never;

function editOf(all: readonly Buffer[], words: readonly string[]): fc.Arbitrary<Edit> {
  const word = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...words).map((text) => Buffer.from(text, "latin1")) },
    fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
  );
  const foreign = fc.tuple(fc.constantFrom(...all), stretch).map(([bytes, { where, length }]) => {
    const at = Math.floor(where * bytes.length);
    return bytes.subarray(at, at + length);
  });
  const piece = fc.oneof({ weight: 3, arbitrary: word }, foreign);
  return fc.oneof(
    { weight: 4, arbitrary: fc.tuple(stretch, piece).map(([place, text]) => replace(place, () => text)) },
    { weight: 3, arbitrary: fc.tuple(stretch, piece).map(([place, text]) => insert(place, text)) },
    { weight: 1, arbitrary: stretch.map((place) => replace(place, () => Buffer.alloc(0))) },
    { weight: 1, arbitrary: fc.tuple(stretch, repeats).map(([place, count]) => replace(place, doubled(count))) },
    {
      weight: 1,
      arbitrary: stretch.map(
        ({ where }) =>
          (bytes: Buffer) =>
            bytes.subarray(0, where * bytes.length),
      ),
    },
    { weight: 1, arbitrary: fc.tuple(stretch, fc.nat(7)).map(([{ where }, bit]) => flip(where, bit)) },
  );
}

const repeats = fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 2, max: 5 }) }, fc.integer({ min: 6, max: 5000 }));

function replace({ where, length }: Stretch, by: (cut: Buffer) => Buffer): Edit {
  return (bytes) => {
    const at = Math.floor(where * bytes.length);
    return Buffer.concat([bytes.subarray(0, at), by(bytes.subarray(at, at + length)), bytes.subarray(at + length)]);
  };
}

function insert({ where }: Stretch, text: Buffer): Edit {
  return replace({ where, length: 0 }, () => text);
}

function doubled(count: number): (cut: Buffer) => Buffer {
  return (cut) => Buffer.concat(Array.from({ length: count }, () => cut));
}

function flip(where: number, bit: number): Edit {
  return replace({ where, length: 1 }, (cut) => Buffer.from(cut.map((byte) => byte ^ (1 << bit))));
}
