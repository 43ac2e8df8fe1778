import { kernelBase64 } from "./kernel.wasm.ts";

const pageBytes = 65_536;
// One page short of the address space, so that no address the kernel computes wraps around.
const maxMemoryBytes = 65_535 * pageBytes;
const copyBytes = 256 * 1024;

/** Bytes at the start of the kernel's memory that belong to the kernel; a multiple of 64 KiB. */
export const kernelBytes = 2 * pageBytes;

/** CRC-64/XZ over a memory of its own; CRCs are finished unsigned 64-bit values, 0n for no bytes. */
export interface Crc64Kernel {
  readonly memory: WebAssembly.Memory;
  /** CRC of earlier bytes (`crc`) followed by `memory[offset, offset + length)`; RangeError outside the data part. */
  update(crc: bigint, offset: number, length: number): bigint;
  /** CRC of two byte strings in a row, from their CRCs and the second's length; RangeError unless a safe length. */
  combine(first: bigint, second: bigint, secondLengthBytes: number): bigint;
}

interface KernelExports {
  update(crc: bigint, offset: number, length: number): bigint;
  combine(first: bigint, second: bigint, secondLengthBytes: number): bigint;
}

/** A kernel on a fixed memory with room for at least `dataBytes` after `kernelBytes`; RangeError beyond 4 GiB. */
export function createCrc64Kernel(dataBytes: number): Crc64Kernel {
  const pages = Math.ceil((kernelBytes + dataBytes) / pageBytes);
  if (!isLength(dataBytes) || pages * pageBytes > maxMemoryBytes) {
    throw new RangeError(`a CRC-64 kernel cannot have ${dataBytes} bytes of data`);
  }
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const memoryBytes = pages * pageBytes;
  const kernel = instantiate(memory);
  return {
    memory,
    update(crc, offset, length) {
      if (!isLength(offset) || !isLength(length) || offset < kernelBytes || offset + length > memoryBytes) {
        throw new RangeError(`no ${length} bytes of data at ${offset} in a memory of ${memoryBytes}`);
      }
      return BigInt.asUintN(64, kernel.update(crc, offset, length));
    },
    combine(first, second, secondLengthBytes) {
      if (!isLength(secondLengthBytes)) throw new RangeError(`${secondLengthBytes} is not a length in bytes`);
      return BigInt.asUintN(64, kernel.combine(first, second, secondLengthBytes));
    },
  };
}

/** CRC of two byte strings in a row, from their CRCs and the second's length; RangeError unless a safe length. */
export function combineCrc64(first: bigint, second: bigint, secondLengthBytes: number): bigint {
  return copyingKernel().combine(first, second, secondLengthBytes);
}

/** CRC of earlier bytes (`crc`) followed by `bytes`, which are copied into a kernel; call it again to go on. */
export function crc64(bytes: Uint8Array, crc = 0n): bigint {
  const kernel = copyingKernel();
  const data = new Uint8Array(kernel.memory.buffer, kernelBytes, copyBytes);
  let result = crc;
  for (let start = 0; start < bytes.length; start += copyBytes) {
    const part = bytes.subarray(start, start + copyBytes);
    data.set(part);
    result = kernel.update(result, kernelBytes, part.length);
  }
  return result;
}

let copying: Crc64Kernel | undefined;

function copyingKernel(): Crc64Kernel {
  copying ??= createCrc64Kernel(copyBytes);
  return copying;
}

let compiled: WebAssembly.Module | undefined;

function instantiate(memory: WebAssembly.Memory): KernelExports {
  compiled ??= new WebAssembly.Module(Buffer.from(kernelBase64, "base64"));
  const { exports } = new WebAssembly.Instance(compiled, { env: { memory } });
  // The module is ours and generated with these exports; a test rebuilds it from its source.
  return exports as unknown as KernelExports;
}

function isLength(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
