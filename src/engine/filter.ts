import picomatch from "picomatch";

/**
 * Whether a path below the directory is selected: it matches an include, if there are any, and no exclude. `*` stays
 * within a segment, `**` crosses them, a pattern without a slash matches the last segment, dots are ordinary.
 */
export function createFilter(include: readonly string[], exclude: readonly string[]): (relative: string) => boolean {
  if (include.length === 0 && exclude.length === 0) return () => true;
  const included = include.map(matcher);
  const excluded = exclude.map(matcher);
  return (relative) =>
    (included.length === 0 || included.some((matches) => matches(relative))) &&
    !excluded.some((matches) => matches(relative));
}

function matcher(pattern: string): (relative: string) => boolean {
  const anchored = pattern.startsWith("/") ? pattern.slice(1) : pattern;
  if (anchored === "") return () => true; // `/`: the directory itself
  // With the flag `s` wildcards match line breaks too: keys may have them.
  const options = { dot: true, posixSlashes: false, basename: !pattern.includes("/"), flags: "s" };
  const matches = picomatch(anchored, options);
  // A directory's marker is selected like the directory; `dir/` and `dir/**` select what is below.
  const below = anchored.endsWith("/") ? picomatch(`${anchored}**`, options) : undefined;
  return (relative) => {
    const path = relative.endsWith("/") ? relative.slice(0, -1) : relative;
    return matches(path) || below?.(relative) === true;
  };
}
