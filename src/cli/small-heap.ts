import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

/** Enough for what is young here, which dies within a request. */
const enoughBytes = 16 * 2 ** 20;
const lookMs = 100;
/**
 * Once a flag has changed, V8 takes nothing compiled from Node's own cache any more: a data thread then takes twice as
 * long to come up, and so does each module of Node that is loaded later. So old objects, which take longer to become many,
 * are left to grow as they like for so long.
 */
const startMs = 1_000;

/**
 * Keeps V8 from taking memory that nobody needs: up to 128 MiB for young objects, and several times of what is alive before
 * old garbage is collected. Limits are read only when the process starts; how much a heap grows, each time that it is to.
 */
export function keepHeapSmall(): Disposable {
  const start = setTimeout(() => setFlagsFromString("--heap-growing-percent=50"), startMs);
  const looking = setInterval(() => {
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space");
    if (young === undefined || young.space_size < enoughBytes) return;
    setFlagsFromString("--semi-space-growth-factor=1");
    clearInterval(looking);
  }, lookMs);
  start.unref();
  looking.unref();
  return {
    [Symbol.dispose]: () => {
      clearTimeout(start);
      clearInterval(looking);
    },
  };
}
