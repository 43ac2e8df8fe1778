import { readFileSync } from "node:fs";
import { readmeFile } from "./tables.ts";

/** One fenced block of the README. */
export interface Block {
  readonly language: string;
  readonly text: string;
  /** The text of an HTML comment on the line before, if there is one. */
  readonly mark: string | undefined;
}

export const readme = readFileSync(readmeFile, "utf8");

export const blocks: readonly Block[] = [
  ...readme.matchAll(/(?:^<!-- (?<mark>.*) -->\n)?^```(?<language>\w*)\n(?<text>.*?)^```$/gms),
].map(({ groups }) => ({ language: groups?.language ?? "", text: groups?.text ?? "", mark: groups?.mark }));

/** The rows of the table after an HTML comment, cells without the spaces around them. */
export function tableAfter(mark: string): readonly (readonly string[])[] {
  const [, table = ""] = readme.split(`<!-- ${mark} -->\n`);
  const [lines = ""] = table.split("\n\n", 1);
  const rows = lines.split("\n").slice(2);
  return rows.map((row) => row.split("|").slice(1, -1)).map((cells) => cells.map((cell) => cell.trim()));
}
