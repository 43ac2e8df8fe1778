import type { CheckpointState } from "./checkpoint.ts";
import { stringifyCheckpoint } from "./checkpoint-format.ts";

/**
 * The text of a checkpoint that `fits`. While it does not, the shorter extents, about half of them, are given up: another run
 * fetches these bytes again. Throws RangeError when it does not fit without any.
 */
export function fittingCheckpoint(state: CheckpointState, fits: (text: string) => boolean = () => true): string {
  for (let current = state; ; current = withoutShorterHalf(current)) {
    const text = stringifyCheckpoint(current);
    if (fits(text)) return text;
    if (current.open.every(({ extents }) => extents.length === 0)) {
      throw new RangeError("there is no room even for a checkpoint without extents");
    }
  }
}

function withoutShorterHalf(state: CheckpointState): CheckpointState {
  const lengths = state.open.flatMap(({ extents }) => extents.map(({ length }) => length)).toSorted((a, b) => b - a);
  let left = Math.floor(lengths.length / 2);
  const least = lengths[left - 1] ?? 0;
  const keeps = ({ length }: { readonly length: number }): boolean => length >= least && left-- > 0;
  return { ...state, open: state.open.map((each) => ({ ...each, extents: each.extents.filter(keeps) })) };
}
