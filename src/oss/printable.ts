/** Foreign text made fit for a one-line message. */

const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** At most `maxChars` characters of `text`, control, format and unpaired surrogate characters escaped as `\u{…}`. */
export function printable(text: string, maxChars = 256): string {
  const shown = text.length > maxChars ? text.slice(0, maxChars) : text;
  const escaped = shown.replace(unprintable, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`);
  return text.length > maxChars ? `${escaped}…` : escaped;
}
