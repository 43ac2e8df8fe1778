import type { Redact } from "./redact.ts";

/** What could steer a terminal or reorder a line: controls, line separators, marks of direction. */
const steering = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** What of it JSON leaves as it is. */
const steeringInJson = /[\u007f-\u009f\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

const short: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** One line of text that cannot steer a terminal. */
export function escapeControls(text: string): string {
  return text.toWellFormed().replace(steering, (character) => short[character] ?? escaped(character));
}

/** The same JSON, without characters that could steer a terminal. */
export function escapeJson(json: string): string {
  return json.replace(steeringInJson, escaped);
}

/** JSON of `value` with every string redacted, safe to print; `indent` as in JSON.stringify. */
export function toJson(value: unknown, redact: Redact, indent = 0): string {
  const json = JSON.stringify(value, (_, item: unknown) => (typeof item === "string" ? redact(item) : item), indent);
  return escapeJson(json);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
