const pageBytes = 65_536;

/** Zeroed memory for direct I/O: WebAssembly memory begins on a page boundary. */
export function alignedMemory(lengthBytes: number): Uint8Array {
  const pages = Math.ceil(lengthBytes / pageBytes);
  return new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer, 0, lengthBytes);
}
