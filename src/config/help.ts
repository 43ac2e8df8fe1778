import type { Verb } from "./config.ts";
import { variableOf } from "./names.ts";
import { groups } from "./option.ts";
import { definitionOf, type OptionName, optionsOf } from "./options.ts";

const width = 100;
const helpColumn = 36;

/** The verbs, and what each is for. */
export const verbs: Readonly<Record<Verb, { readonly usage: string; readonly summary: string }>> = {
  populate: {
    usage: "populate --target DIR|DEVICE [options]",
    summary: "Fill a fresh volume that nobody reads until exit 0; resumes where an earlier attempt stopped.",
  },
  copy: {
    usage: "copy [options] oss://BUCKET/PATH TARGET",
    summary: "Copy into a directory that people may be reading; unchanged files are skipped, nothing is deleted.",
  },
  verify: {
    usage: "verify [options] oss://BUCKET/PATH DIR|DEVICE",
    summary:
      "Compare names, sizes and checksums of a directory, or the bytes of a block device, with the bucket; writes nothing.",
  },
};

const variablesNote = `Each option can also be given as a variable: --part-size as ${variableOf("part-size")}. Options win over variables, and these over --spec. An empty variable counts as not given; a flag is true or false; of a repeatable option each line of the variable is an entry. Keys and tokens are never options: they come from ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET and the rest of the default chain of @alicloud/credentials.`;

const unitsNote =
  "Sizes are 64KiB, 8MiB, 1GB or plain bytes; durations 500ms, 30s, 5m, 2h; MBps are 1,000,000 bytes per second.";

const exitCodes =
  "Exit codes: 0 complete, 1 defect of this program, 2 wrong options, 3 source missing or refused, 4 some objects failed, 5 target cannot take the data, 6 data did not match, 7 passing trouble outlasted the retries, 130 and 143 stopped by a signal.";

/** The help of a verb, every option grouped and with its default; without a verb, the verbs. */
export function helpText(verb: Verb | undefined): string {
  return verb === undefined ? overview() : verbHelp(verb);
}

function overview(): string {
  const parts = Object.values(verbs).map(({ usage, summary }) => `  oss-populator ${usage}\n${paragraph(summary, 6)}`);
  const rest = "oss-populator VERB --help shows the options of a verb, oss-populator --version the version.";
  return `Fills a volume from an Alibaba Cloud OSS path: fast, verified, durable.\n\n${parts.join("\n")}\n\n${paragraph(rest, 0)}\n${paragraph(exitCodes, 0)}\n`;
}

function verbHelp(verb: Verb): string {
  const { usage, summary } = verbs[verb];
  const names = optionsOf(verb);
  const sections = groups.flatMap((group) => {
    const rows = names.filter((name) => definitionOf(name).group === group).map((name) => row(name, verb));
    return rows.length === 0 ? [] : [`${group}\n${rows.join("\n")}`];
  });
  const notes = [unitsNote, variablesNote, exitCodes].map((note) => paragraph(note, 0));
  return [`Usage: oss-populator ${usage}`, paragraph(summary, 0), ...sections, ...notes, ""]
    .join("\n\n")
    .trimEnd()
    .concat("\n");
}

function row(name: OptionName, verb: Verb): string {
  const { kind, help } = definitionOf(name);
  const term = `  --${name}${kind.placeholder === "" ? "" : ` ${kind.placeholder}`}`;
  const text = paragraph(`${help}${defaultOf(name, verb)}`, helpColumn);
  return term.length < helpColumn - 1 ? term.padEnd(helpColumn) + text.slice(helpColumn) : `${term}\n${text}`;
}

/** ` (default: …)`; nothing for a flag, which is off, and for what must be given. */
function defaultOf(name: OptionName, verb: Verb): string {
  const option = definitionOf(name);
  const note = typeof option.defaultNote === "object" ? option.defaultNote[verb] : option.defaultNote;
  const value = note ?? (option.kind.placeholder === "" ? undefined : option.default);
  return value === undefined ? "" : ` (default: ${value})`;
}

function paragraph(text: string, indent: number): string {
  const margin = " ".repeat(indent);
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent + line.length + 1 + word.length > width) {
      lines.push(margin + line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, margin + line].join("\n");
}
