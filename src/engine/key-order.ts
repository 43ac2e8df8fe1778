const surrogate = /[\ud800-\udfff]/;

/** The order of a listing: negative, zero or positive as `Buffer.compare` of the UTF-8 forms of two well-formed strings. */
export function compareKeys(a: string, b: string): number {
  // Without surrogates the order of UTF-16 is the same, and V8's own comparison is many times as fast.
  if (!surrogate.test(a) && !surrogate.test(b)) return a < b ? -1 : Number(a > b);
  const common = Math.min(a.length, b.length);
  for (let i = 0; i < common; i++) {
    const left = a.charCodeAt(i);
    const right = b.charCodeAt(i);
    if (left !== right) return byteRank(left) - byteRank(right);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above U+FFFF, but their own units sort below U+E000. */
function byteRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
