import { rmSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";

const memoryPath = "/dev/shm";

export interface MemoryFolder extends Disposable {
  readonly path: string;
  /** A new empty folder in place of the one before: memory has no use for what earlier runs left. */
  fresh(): Promise<string>;
}

/** A folder in memory; removed also when a bench is interrupted. */
export async function memoryFolder(): Promise<MemoryFolder> {
  const path = await mkdtemp(`${memoryPath}/oss-populator-bench-`);
  const remove = (): void => rmSync(path, { recursive: true, force: true });
  process.once("exit", remove);
  return {
    path,
    async fresh() {
      const target = join(path, "target");
      await rm(target, { recursive: true, force: true });
      await mkdir(target);
      return target;
    },
    [Symbol.dispose]: () => {
      process.off("exit", remove);
      remove();
    },
  };
}
