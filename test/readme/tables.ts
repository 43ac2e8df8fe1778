/** `npx node test/readme/tables.ts` puts the tables of options into the README; a test holds them there. */
import { readFileSync, writeFileSync } from "node:fs";
import type { Verb } from "../../src/config/config.ts";
import { every, groups } from "../../src/config/option.ts";
import { definitionOf, type OptionName, optionNames } from "../../src/config/options.ts";

export const readmeFile = new URL("../../README.md", import.meta.url);

const begin = "<!-- options -->\n";
const end = "<!-- end of options -->";

/** The README with its tables of options as they have to be. */
export function withTables(readme: string): string {
  const start = readme.indexOf(begin);
  const stop = readme.indexOf(end);
  if (start < 0 || stop < start) throw new Error(`the README lacks ${begin}or ${end}`);
  return `${readme.slice(0, start + begin.length)}${optionTables()}${readme.slice(stop)}`;
}

function optionTables(): string {
  return groups.map(groupTable).join("");
}

function groupTable(group: (typeof groups)[number]): string {
  const names = optionNames.filter((name) => definitionOf(name).group === group);
  const rows = names.map((name) => `| ${cells(name).map(escapePipes).join(" | ")} |\n`);
  return `### ${group}\n\n| option | of | default | meaning |\n|---|---|---|---|\n${rows.join("")}\n`;
}

function cells(name: OptionName): string[] {
  const { kind, help, verbs } = definitionOf(name);
  const term = kind.placeholder === "" ? `--${name}` : `--${name} ${kind.placeholder}`;
  return [`\`${term}\``, verbs.length === every.length ? "all" : verbs.join(", "), defaultCell(name), help];
}

/** One text for all verbs, or the verbs with each text. */
function defaultCell(name: OptionName): string {
  const byText = new Map<string, Verb[]>();
  for (const verb of definitionOf(name).verbs) {
    const text = defaultText(name, verb) ?? "";
    byText.set(text, [...(byText.get(text) ?? []), verb]);
  }
  const [only, ...others] = byText.keys();
  if (others.length === 0) return only ?? "";
  return [...byText].map(([text, verbs]) => `${verbs.join(", ")}: ${text}`).join("<br>");
}

/** What the help says of a default; undefined for a flag, which is off, and for what has none. */
export function defaultText(name: OptionName, verb: Verb): string | undefined {
  const { kind, defaultNote, default: standIn } = definitionOf(name);
  const note = typeof defaultNote === "object" ? defaultNote[verb] : defaultNote;
  return note ?? (kind.placeholder === "" ? undefined : standIn);
}

function escapePipes(text: string): string {
  return text.replaceAll("|", "\\|");
}

if (import.meta.main) writeFileSync(readmeFile, withTables(readFileSync(readmeFile, "utf8")));
