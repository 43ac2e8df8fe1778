import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A directory of the test's own, removed with everything below on disposal. */
export interface Scratch extends AsyncDisposable {
  readonly path: string;
  /** Makes a directory in it. */
  directory(name: string): Promise<string>;
}

/** `parent` is where it is made; default is the place for temporary files. */
export async function makeScratch(parent = tmpdir()): Promise<Scratch> {
  const path = await mkdtemp(join(parent, "oss-populator-e2e-"));
  return {
    path,
    directory: async (name) => {
      await mkdir(join(path, name), { recursive: true });
      return join(path, name);
    },
    async [Symbol.asyncDispose]() {
      await rm(path, { recursive: true, force: true });
    },
  };
}
