import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

/** Enough for what is young here, which dies within a request. */
const enoughBytes = 16 * 2 ** 20;
const lookMs = 100;

/**
 * Keeps V8 from giving young objects ever more memory: up to 128 MiB, which a run over many small objects would come to
 * have. The limit itself is read only when the process starts; by how much the space grows, each time that it is to.
 */
export function boundNursery(): Disposable {
  const timer = setInterval(() => {
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space");
    if (young === undefined || young.space_size < enoughBytes) return;
    setFlagsFromString("--semi-space-growth-factor=1");
    clearInterval(timer);
  }, lookMs);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
