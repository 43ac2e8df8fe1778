import { readFile, writeFile } from "node:fs/promises";
import asc from "assemblyscript/asc";

const source = new URL("../src/checksum/kernel/crc64.as.ts", import.meta.url);
const target = new URL("../src/checksum/kernel.wasm.ts", import.meta.url);
const options = "-O3 --converge --noAssert --runtime stub --enable simd --importMemory --noExportMemory".split(" ");

/** Compiles the CRC kernel and returns the text of the generated module; throws with the compiler's messages. */
export async function buildKernel(): Promise<string> {
  const text = await readFile(source, "utf8");
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main(["crc64.as.ts", ...options, "--outFile", "crc64.wasm"], {
    readFile: (name: string) => (name === "crc64.as.ts" ? text : null),
    writeFile: (_name: string, contents: string | Uint8Array) => {
      if (typeof contents !== "string") binary = contents;
    },
    listFiles: () => [],
  });
  if (error !== null || binary === undefined) throw new Error(`kernel does not compile\n${stderr}`, { cause: error });
  return [
    "// Generated from kernel/crc64.as.ts by scripts/build-kernel.ts.",
    `export const kernelBase64 =\n  "${Buffer.from(binary).toString("base64")}";`,
    "",
  ].join("\n");
}

if (import.meta.main) await writeFile(target, await buildKernel());
