import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

/** Enough for what is young here, which dies within a request. */
const enoughBytes = 16 * 2 ** 20;
const lookMs = 100;

/**
 * Keeps V8 from taking memory that nobody needs: up to 128 MiB for young objects, and several times of what is alive before
 * old garbage is collected. Limits are read only when the process starts; how much a heap grows, each time that it is to.
 */
export function keepHeapSmall(): Disposable {
  setFlagsFromString("--heap-growing-percent=50");
  const timer = setInterval(() => {
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space");
    if (young === undefined || young.space_size < enoughBytes) return;
    setFlagsFromString("--semi-space-growth-factor=1");
    clearInterval(timer);
  }, lookMs);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
