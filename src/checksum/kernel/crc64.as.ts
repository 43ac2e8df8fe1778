/**
 * CRC-64/XZ over the imported memory (AssemblyScript, compiled by scripts/build-kernel.ts).
 *
 * Seen as a polynomial, a message keeps its CRC when a multiple of P is added to it. P divides two sparse sums of powers
 * of x, and their 2^k-th powers, so one word can be cleared by xoring it into the words at fixed distances behind it:
 * a few SIMD loads for every 16 bytes and no table look-up. What is left at the end (the sum's degree in words) is cleared
 * by the smaller sum, and the last 1,216 bytes by table.
 *
 *   far:  x^e for e in 0 31 127 209 219 277 305 433 541 570, on words of 16 bytes
 *   near: x^e for e in 0 11 16 35 36 94 113 117 124 126 130 141 143 152, on words of 8 bytes
 *
 * A distance is the degree less e.
 */

/** P without its leading term, bit-reversed as all values here: bit 63 is the coefficient of x^0. */
const POLYNOMIAL: u64 = 0xc96c5795d7870f42;

// Measured: below these lengths the next simpler way is faster.
const FAR_MIN_BYTES: usize = 22 << 10;
const NEAR_MIN_BYTES: usize = 1536;

const SLICES: usize = 0; // 16 tables of 256 values
const SLICE_BYTES: usize = 256 * 8;
const POWERS: usize = SLICES + 16 * SLICE_BYTES; // x^(8 * 2^k) mod P, k = 0…52
const POWER_COUNT: usize = 53;

const FAR_BYTES: usize = 570 * 16;
const FAR_BLOCK_BYTES: usize = 32 << 10; // with its history and the input it should stay in the L1 and L2 caches
const FAR_HISTORY: usize = POWERS + 512;
const FAR_RESIDUE: usize = FAR_HISTORY + FAR_BYTES + FAR_BLOCK_BYTES;

const NEAR_BYTES: usize = 152 * 8;
const NEAR_HISTORY: usize = FAR_RESIDUE + FAR_BYTES; // never written: stays zero
const NEAR_RESIDUE: usize = NEAR_HISTORY + FAR_MIN_BYTES + 16;

const KERNEL_BYTES: usize = 128 << 10; // kernelBytes of crc64.ts
if (NEAR_RESIDUE + NEAR_BYTES > KERNEL_BYTES) ERROR("the tables do not fit");

makeSlices();
makePowers();

/** CRC of the bytes before, whose CRC is `crc`, followed by the `length` bytes at `p`. The CRC of nothing is 0. */
export function update(crc: u64, p: usize, length: usize): u64 {
  const odd = length & 15;
  let state = sliceOdd(~crc, p, odd);
  p += odd;
  length -= odd;
  if (length >= FAR_MIN_BYTES) {
    foldFar(state, p, length);
    state = 0;
    p = FAR_RESIDUE;
    length = FAR_BYTES;
  }
  if (length >= NEAR_MIN_BYTES) {
    foldNear(state, p, length);
    state = 0;
    p = NEAR_RESIDUE;
    length = NEAR_BYTES;
  }
  return ~slice(state, p, length);
}

/** CRC of two strings in a row: first * x^(8 * secondLength) + second. `secondLength` is an integer below 2^53. */
export function combine(first: u64, second: u64, secondLength: f64): u64 {
  let power = POWERS;
  for (let rest = <u64>secondLength; rest != 0; rest >>= 1) {
    if (rest & 1) first = multiply(first, load<u64>(power));
    power += 8;
  }
  return first ^ second;
}

function multiply(a: u64, b: u64): u64 {
  let product: u64 = 0;
  while (a != 0) {
    product ^= b & -(a >> 63);
    b = (b >> 1) ^ (POLYNOMIAL & -(b & 1));
    a <<= 1;
  }
  return product;
}

function makePowers(): void {
  let power: u64 = 1 << 55; // x^8
  for (let k: usize = 0; k < POWER_COUNT; k++) {
    store<u64>(POWERS + k * 8, power);
    power = multiply(power, power);
  }
}

function makeSlices(): void {
  for (let n: usize = 0; n < 256; n++) {
    let value: u64 = n;
    for (let bit = 0; bit < 8; bit++) value = (value >> 1) ^ (POLYNOMIAL & -(value & 1));
    store<u64>(SLICES + n * 8, value);
  }
  for (let at = SLICES + SLICE_BYTES; at < POWERS; at += 8) {
    const before = load<u64>(at - SLICE_BYTES);
    store<u64>(at, (before >> 8) ^ load<u64>(SLICES + byteOf(before, 0)));
  }
}

/** Byte `n` of `word`, times the 8 bytes of a table's entry. */
@inline
function byteOf(word: u64, n: i32): usize {
  return <usize>(n == 0 ? word << 3 : word >> (8 * n - 3)) & 0x7f8;
}

/** Entry for byte `n` of `word` when `following` bytes come after that byte. */
@inline
function entry(word: u64, n: i32, following: usize): u64 {
  return load<u64>(SLICES + following * SLICE_BYTES + byteOf(word, n));
}

/** The 8 bytes of `word`, followed by `following` bytes. */
@inline
function entries(word: u64, following: usize): u64 {
  return (
    entry(word, 0, following + 7) ^
    entry(word, 1, following + 6) ^
    entry(word, 2, following + 5) ^
    entry(word, 3, following + 4) ^
    entry(word, 4, following + 3) ^
    entry(word, 5, following + 2) ^
    entry(word, 6, following + 1) ^
    entry(word, 7, following)
  );
}

/** `length` is a multiple of 16. */
function slice(state: u64, p: usize, length: usize): u64 {
  for (const end = p + length; p < end; p += 16) {
    state = entries(load<u64>(p, 8), 0) ^ entries(load<u64>(p) ^ state, 8);
  }
  return state;
}

/** `length` is below 16. */
function sliceOdd(state: u64, p: usize, length: usize): u64 {
  if (length & 8) {
    state = entries(state ^ load<u64>(p), 0);
    p += 8;
  }
  if (length & 4) {
    const word = state ^ load<u32>(p);
    state = (state >> 32) ^ entry(word, 0, 3) ^ entry(word, 1, 2) ^ entry(word, 2, 1) ^ entry(word, 3, 0);
    p += 4;
  }
  if (length & 2) {
    const word = state ^ load<u16>(p);
    state = (state >> 16) ^ entry(word, 0, 1) ^ entry(word, 1, 0);
    p += 2;
  }
  if (length & 1) state = (state >> 8) ^ entry(state ^ load<u8>(p), 0, 0);
  return state;
}

// `farN` is the sum of the N words at the greatest distances; `h` lies 570 words behind the word that they are added to.
@inline function far1(h: usize): v128 { return v128.load(h); }
@inline function far2(h: usize): v128 { return v128.xor(far1(h), v128.load(h, (570 - 539) * 16)); }
@inline function far3(h: usize): v128 { return v128.xor(far2(h), v128.load(h, (570 - 443) * 16)); }
@inline function far4(h: usize): v128 { return v128.xor(far3(h), v128.load(h, (570 - 361) * 16)); }
@inline function far5(h: usize): v128 { return v128.xor(far4(h), v128.load(h, (570 - 351) * 16)); }
@inline function far6(h: usize): v128 { return v128.xor(far5(h), v128.load(h, (570 - 293) * 16)); }
@inline function far7(h: usize): v128 { return v128.xor(far6(h), v128.load(h, (570 - 265) * 16)); }
@inline function far8(h: usize): v128 { return v128.xor(far7(h), v128.load(h, (570 - 137) * 16)); }
@inline function far9(h: usize): v128 { return v128.xor(far8(h), v128.load(h, (570 - 29) * 16)); }

/** What the word at `p` has become when its turn comes; remembered for the words ahead. */
@inline
function farStep(h: usize, p: usize): void {
  v128.store(h, v128.xor(v128.load(p), far9(h)), FAR_BYTES);
}

/** Leaves FAR_BYTES at FAR_RESIDUE with the same CRC from state 0; `length` is a multiple of 16 above FAR_BYTES. */
function foldFar(state: u64, p: usize, length: usize): void {
  memory.fill(FAR_HISTORY, 0, FAR_BYTES);
  v128.store(FAR_HISTORY, firstWord(state, p), FAR_BYTES);
  p += 16;
  let left = length - FAR_BYTES - 16;
  let h = FAR_HISTORY + 16;
  let room = FAR_BLOCK_BYTES - 16;
  while (true) {
    const blockBytes = min(left, room);
    h = foldFarBlock(h, p, blockBytes);
    p += blockBytes;
    left -= blockBytes;
    if (left == 0) break;
    memory.copy(FAR_HISTORY, h, FAR_BYTES);
    h = FAR_HISTORY;
    room = FAR_BLOCK_BYTES;
  }
  farResidue(h, p);
}

function foldFarBlock(h: usize, p: usize, length: usize): usize {
  const end = h + length;
  for (const unrolled = h + (length & ~63); h < unrolled; h += 64, p += 64) {
    farStep(h, p);
    farStep(h + 16, p + 16);
    farStep(h + 32, p + 32);
    farStep(h + 48, p + 48);
  }
  for (; h < end; h += 16, p += 16) farStep(h, p);
  return h;
}

/** The last words are not cleared, so none of them is added to the ones behind it: the near terms drop out one by one. */
function farResidue(h: usize, p: usize): void {
  let i: usize = 0;
  for (; i < 29 * 16; i += 16) v128.store(FAR_RESIDUE + i, v128.xor(v128.load(p + i), far9(h + i)));
  for (; i < 137 * 16; i += 16) v128.store(FAR_RESIDUE + i, v128.xor(v128.load(p + i), far8(h + i)));
  for (; i < 265 * 16; i += 16) v128.store(FAR_RESIDUE + i, v128.xor(v128.load(p + i), far7(h + i)));
  for (; i < 293 * 16; i += 16) v128.store(FAR_RESIDUE + i, v128.xor(v128.load(p + i), far6(h + i)));
  for (; i < 351 * 16; i += 16) v128.store(FAR_RESIDUE + i, v128.xor(v128.load(p + i), far5(h + i)));
  for (; i < 361 * 16; i += 16) v128.store(FAR_RESIDUE + i, v128.xor(v128.load(p + i), far4(h + i)));
  for (; i < 443 * 16; i += 16) v128.store(FAR_RESIDUE + i, v128.xor(v128.load(p + i), far3(h + i)));
  for (; i < 539 * 16; i += 16) v128.store(FAR_RESIDUE + i, v128.xor(v128.load(p + i), far2(h + i)));
  for (; i < 570 * 16; i += 16) v128.store(FAR_RESIDUE + i, v128.xor(v128.load(p + i), far1(h + i)));
}

@inline
function firstWord(state: u64, p: usize): v128 {
  return v128.xor(v128.load(p), i64x2.replace_lane(v128.splat<i64>(0), 0, <i64>state));
}

// The same for the near sum. A step does two words of 8 bytes at once; the least distance, 72 bytes, is out of its reach.
@inline function near1(h: usize): v128 { return v128.load(h); }
@inline function near2(h: usize): v128 { return v128.xor(near1(h), v128.load(h, (152 - 141) * 8)); }
@inline function near3(h: usize): v128 { return v128.xor(near2(h), v128.load(h, (152 - 136) * 8)); }
@inline function near4(h: usize): v128 { return v128.xor(near3(h), v128.load(h, (152 - 117) * 8)); }
@inline function near5(h: usize): v128 { return v128.xor(near4(h), v128.load(h, (152 - 116) * 8)); }
@inline function near6(h: usize): v128 { return v128.xor(near5(h), v128.load(h, (152 - 58) * 8)); }
@inline function near7(h: usize): v128 { return v128.xor(near6(h), v128.load(h, (152 - 39) * 8)); }
@inline function near8(h: usize): v128 { return v128.xor(near7(h), v128.load(h, (152 - 35) * 8)); }
@inline function near9(h: usize): v128 { return v128.xor(near8(h), v128.load(h, (152 - 28) * 8)); }
@inline function near10(h: usize): v128 { return v128.xor(near9(h), v128.load(h, (152 - 26) * 8)); }
@inline function near11(h: usize): v128 { return v128.xor(near10(h), v128.load(h, (152 - 22) * 8)); }
@inline function near12(h: usize): v128 { return v128.xor(near11(h), v128.load(h, (152 - 11) * 8)); }
@inline function near13(h: usize): v128 { return v128.xor(near12(h), v128.load(h, (152 - 9) * 8)); }

@inline
function nearStep(h: usize, p: usize): void {
  v128.store(h, v128.xor(v128.load(p), near13(h)), NEAR_BYTES);
}

/** Leaves NEAR_BYTES at NEAR_RESIDUE; `length` is a multiple of 16 above NEAR_BYTES, at most FAR_MIN_BYTES. */
function foldNear(state: u64, p: usize, length: usize): void {
  v128.store(NEAR_HISTORY, firstWord(state, p), NEAR_BYTES);
  const end = NEAR_HISTORY + (length - NEAR_BYTES);
  let h = NEAR_HISTORY + 16;
  p += 16;
  for (const unrolled = h + ((end - h) & ~63); h < unrolled; h += 64, p += 64) {
    nearStep(h, p);
    nearStep(h + 16, p + 16);
    nearStep(h + 32, p + 32);
    nearStep(h + 48, p + 48);
  }
  for (; h < end; h += 16, p += 16) nearStep(h, p);
  v128.store(h, v128.splat<i64>(0), NEAR_BYTES); // an odd distance reads 8 bytes past the last cleared word
  nearResidue(h, p);
}

function nearResidue(h: usize, p: usize): void {
  let i: usize = 0;
  for (; i < 9 * 8; i += 16) v128.store(NEAR_RESIDUE + i, v128.xor(v128.load(p + i), near13(h + i)));
  for (; i < 11 * 8; i += 16) v128.store(NEAR_RESIDUE + i, v128.xor(v128.load(p + i), near12(h + i)));
  for (; i < 22 * 8; i += 16) v128.store(NEAR_RESIDUE + i, v128.xor(v128.load(p + i), near11(h + i)));
  for (; i < 26 * 8; i += 16) v128.store(NEAR_RESIDUE + i, v128.xor(v128.load(p + i), near10(h + i)));
  for (; i < 28 * 8; i += 16) v128.store(NEAR_RESIDUE + i, v128.xor(v128.load(p + i), near9(h + i)));
  for (; i < 35 * 8; i += 16) v128.store(NEAR_RESIDUE + i, v128.xor(v128.load(p + i), near8(h + i)));
  for (; i < 39 * 8; i += 16) v128.store(NEAR_RESIDUE + i, v128.xor(v128.load(p + i), near7(h + i)));
  for (; i < 58 * 8; i += 16) v128.store(NEAR_RESIDUE + i, v128.xor(v128.load(p + i), near6(h + i)));
  for (; i < 116 * 8; i += 16) v128.store(NEAR_RESIDUE + i, v128.xor(v128.load(p + i), near5(h + i)));
  for (; i < 117 * 8; i += 16) v128.store(NEAR_RESIDUE + i, v128.xor(v128.load(p + i), near4(h + i)));
  for (; i < 136 * 8; i += 16) v128.store(NEAR_RESIDUE + i, v128.xor(v128.load(p + i), near3(h + i)));
  for (; i < 141 * 8; i += 16) v128.store(NEAR_RESIDUE + i, v128.xor(v128.load(p + i), near2(h + i)));
  for (; i < 152 * 8; i += 16) v128.store(NEAR_RESIDUE + i, v128.xor(v128.load(p + i), near1(h + i)));
}
