/**
 * CRC-64/XZ for the emulator: reflected polynomial 0xC96C5795D7870F42, initial value and final xor all ones.
 * A register is two 32-bit halves; in the reflected form the coefficient of x^0 is the highest bit.
 */
export interface Crc {
  readonly high: number;
  readonly low: number;
}

const POLYNOMIAL_HIGH = 0xc96c5795 | 0;
const POLYNOMIAL_LOW = 0xd7870f42 | 0;
const SLICES = 8;

/** CRC of no bytes. */
export const EMPTY_CRC: Crc = { high: 0, low: 0 };

const { tableHigh, tableLow } = buildTables();

function buildTables(): { tableHigh: Int32Array; tableLow: Int32Array } {
  const tableHigh = new Int32Array(256 * SLICES);
  const tableLow = new Int32Array(256 * SLICES);
  for (let byte = 0; byte < 256; byte++) {
    let high = 0;
    let low = byte;
    for (let bit = 0; bit < 8; bit++) {
      const out = low & 1;
      low = (low >>> 1) | (high << 31);
      high >>>= 1;
      if (out) {
        low ^= POLYNOMIAL_LOW;
        high ^= POLYNOMIAL_HIGH;
      }
    }
    tableHigh[byte] = high;
    tableLow[byte] = low;
  }
  for (let entry = 256; entry < 256 * SLICES; entry++) {
    const high = tableHigh[entry - 256] ?? 0;
    const low = tableLow[entry - 256] ?? 0;
    const next = low & 255;
    tableLow[entry] = ((low >>> 8) | (high << 24)) ^ (tableLow[next] ?? 0);
    tableHigh[entry] = (high >>> 8) ^ (tableHigh[next] ?? 0);
  }
  return { tableHigh, tableLow };
}

/** Continues `previous` over `data[start, end)`. */
export function updateCrc(previous: Crc, data: Uint8Array, start = 0, end = data.length): Crc {
  let high = ~previous.high;
  let low = ~previous.low;
  let at = start;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const h = tableHigh;
  const l = tableLow;
  for (; at + 8 <= end; at += 8) {
    const a = low ^ view.getInt32(at, true);
    const b = high ^ view.getInt32(at + 4, true);
    const i0 = 1792 + (a & 255);
    const i1 = 1536 + ((a >>> 8) & 255);
    const i2 = 1280 + ((a >>> 16) & 255);
    const i3 = 1024 + (a >>> 24);
    const i4 = 768 + (b & 255);
    const i5 = 512 + ((b >>> 8) & 255);
    const i6 = 256 + ((b >>> 16) & 255);
    const i7 = b >>> 24;
    low = Number(l[i0]) ^ Number(l[i1]) ^ Number(l[i2]) ^ Number(l[i3]);
    low ^= Number(l[i4]) ^ Number(l[i5]) ^ Number(l[i6]) ^ Number(l[i7]);
    high = Number(h[i0]) ^ Number(h[i1]) ^ Number(h[i2]) ^ Number(h[i3]);
    high ^= Number(h[i4]) ^ Number(h[i5]) ^ Number(h[i6]) ^ Number(h[i7]);
  }
  for (; at < end; at++) {
    const index = (low ^ Number(data[at])) & 255;
    low = ((low >>> 8) | (high << 24)) ^ Number(l[index]);
    high = (high >>> 8) ^ Number(h[index]);
  }
  return { high: ~high, low: ~low };
}

/** CRC of `data`. */
export function crcOf(data: Uint8Array): Crc {
  return updateCrc(EMPTY_CRC, data);
}

/** The unsigned decimal that `x-oss-hash-crc64ecma` carries. */
export function crcDecimal(crc: Crc): string {
  return ((BigInt(crc.high >>> 0) << 32n) | BigInt(crc.low >>> 0)).toString();
}

/** Product of two polynomials modulo the CRC's. */
function multiply(a: Crc, b: Crc): Crc {
  let high = 0;
  let low = 0;
  let bHigh = b.high;
  let bLow = b.low;
  for (let bit = 0; bit < 64; bit++) {
    const set = bit < 32 ? (a.high >>> (31 - bit)) & 1 : (a.low >>> (63 - bit)) & 1;
    if (set) {
      high ^= bHigh;
      low ^= bLow;
    }
    const out = bLow & 1;
    bLow = (bLow >>> 1) | (bHigh << 31);
    bHigh >>>= 1;
    if (out) {
      bLow ^= POLYNOMIAL_LOW;
      bHigh ^= POLYNOMIAL_HIGH;
    }
  }
  return { high, low };
}

/** `powers[k]` is x^(8·2^k): a shift by 2^k bytes. */
const powers: Crc[] = [{ high: 1 << 23, low: 0 }];

/** x^(8·lengthBytes) modulo the polynomial: what moves a CRC past that many bytes. */
function shiftBy(lengthBytes: number): Crc {
  let result: Crc = { high: 1 << 31, low: 0 };
  let rest = lengthBytes;
  for (let k = 0; rest > 0; k++) {
    let power = powers[k];
    if (power === undefined) {
      const half = powers[k - 1] ?? EMPTY_CRC;
      power = multiply(half, half);
      powers[k] = power;
    }
    if (rest % 2 === 1) result = multiply(result, power);
    rest = Math.floor(rest / 2);
  }
  return result;
}

const shifts = new Map<number, Crc>();

function cachedShift(lengthBytes: number): Crc {
  let shift = shifts.get(lengthBytes);
  if (shift === undefined) {
    if (shifts.size > 10_000) shifts.clear();
    shift = shiftBy(lengthBytes);
    shifts.set(lengthBytes, shift);
  }
  return shift;
}

/** CRC of A followed by B, from both CRCs and the length of B. Its own inverse in `first`. */
export function combineCrc(first: Crc, second: Crc, secondBytes: number): Crc {
  const moved = multiply(first, cachedShift(secondBytes));
  return { high: moved.high ^ second.high, low: moved.low ^ second.low };
}

/** CRC of a block of `blockBytes` bytes repeated `times` times, in logarithmic time. */
export function repeatCrc(block: Crc, blockBytes: number, times: number): Crc {
  let result = EMPTY_CRC;
  let doubled = block;
  let doubledBytes = blockBytes;
  for (let rest = times; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = combineCrc(result, doubled, doubledBytes);
    doubled = combineCrc(doubled, doubled, doubledBytes);
    doubledBytes *= 2;
  }
  return result;
}
