// The definition of CRC-64/XZ, bit by bit, to hold the kernel against.

const polynomial = 0xc96c5795d7870f42n;
const ones = 0xffff_ffff_ffff_ffffn;

function stepBit(state: bigint): bigint {
  return state & 1n ? (state >> 1n) ^ polynomial : state >> 1n;
}

function stepBits(state: bigint, count: number): bigint {
  let result = state;
  for (let bit = 0; bit < count; bit++) result = stepBit(result);
  return result;
}

const byteSteps = Array.from({ length: 256 }, (_, byte) => stepBits(BigInt(byte), 8));

/** Element n is the CRC of bytes whose CRC is `crc` followed by the first n of `bytes`, one bit after the other. */
export function prefixCrcsBitwise(bytes: Uint8Array, crc = 0n): bigint[] {
  let state = crc ^ ones;
  const crcs = [crc];
  for (const byte of bytes) {
    state = stepBits(state ^ BigInt(byte), 8);
    crcs.push(state ^ ones);
  }
  return crcs;
}

/** The same, a byte at a time. */
export function prefixCrcs(bytes: Uint8Array, crc = 0n): bigint[] {
  let state = crc ^ ones;
  const crcs = [crc];
  for (const byte of bytes) {
    state = (state >> 8n) ^ (byteSteps[Number(state & 255n) ^ byte] ?? 0n);
    crcs.push(state ^ ones);
  }
  return crcs;
}

/** `crc` times x^(8 * lengthBytes) modulo the polynomial, by plain square and multiply. */
export function shiftCrc(crc: bigint, lengthBytes: bigint): bigint {
  let result = crc;
  let power = 1n << 55n;
  for (let rest = lengthBytes; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = multiply(result, power);
    power = multiply(power, power);
  }
  return result;
}

function multiply(a: bigint, b: bigint): bigint {
  let product = 0n;
  let shifted = b;
  for (let bit = 63n; bit >= 0n; bit--) {
    if ((a >> bit) & 1n) product ^= shifted;
    shifted = stepBit(shifted);
  }
  return product;
}
