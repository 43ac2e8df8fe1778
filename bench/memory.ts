import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";

const memoryPath = "/dev/shm";

/** A folder in memory; removed also when a bench is interrupted. */
export async function memoryFolder(): Promise<{ readonly path: string } & Disposable> {
  const path = await mkdtemp(`${memoryPath}/oss-populator-bench-`);
  const remove = (): void => rmSync(path, { recursive: true, force: true });
  process.once("exit", remove);
  return {
    path,
    [Symbol.dispose]: () => {
      process.off("exit", remove);
      remove();
    },
  };
}
