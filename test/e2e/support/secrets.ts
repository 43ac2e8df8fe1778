/** What around a secret came out where, for a failure message; its own text is left out. */
export function leaksOf(outputs: readonly string[], secrets: readonly string[]): string[] {
  return outputs.flatMap((output) =>
    secrets.flatMap((secret) => {
      const at = output.indexOf(secret);
      return at < 0 ? [] : [`…${output.slice(Math.max(0, at - 80), at)}<secret>`];
    }),
  );
}
