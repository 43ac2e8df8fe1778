/** Scrapes of `/metrics` as Prometheus would keep them: one series of points for each set of labels. */

export type Labels = Readonly<Record<string, string>>;

export interface Point {
  readonly seconds: number;
  readonly value: number;
}

export interface Series {
  /** `__name__` among them. */
  readonly labels: Labels;
  /** In the order of time. */
  readonly points: readonly Point[];
}

export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

const linePattern = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+\d+)?$/;
const labelPattern = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)/g;

/** The samples of one scrape. Throws an Error that names a line which is not in the text format. */
export function parseExposition(text: string): Sample[] {
  return text.split("\n").flatMap((line) => (line === "" || line.startsWith("#") ? [] : [parseLine(line)]));
}

function parseLine(line: string): Sample {
  const [, name, inner = "", number] = linePattern.exec(line) ?? [];
  const labels = [...inner.matchAll(labelPattern)];
  const consumed = labels.reduce((length, [all]) => length + all.length, 0);
  if (name === undefined || consumed !== inner.length) throw new Error(`not a sample: ${line}`);
  const pairs = labels.map(([, label = "", value = ""]) => [label, unescaped(value)]);
  return { labels: { __name__: name, ...Object.fromEntries(pairs) }, value: parseValue(number ?? "") };
}

function unescaped(text: string): string {
  return text.replaceAll(/\\(.)/g, (_, character: string) => (character === "n" ? "\n" : character));
}

function parseValue(text: string): number {
  if (text === "+Inf") return Number.POSITIVE_INFINITY;
  return text === "-Inf" ? Number.NEGATIVE_INFINITY : Number(text);
}

/** What one target was seen to say. */
export class Scrapes {
  readonly #target: Labels;
  readonly #byLabels = new Map<string, { readonly labels: Labels; readonly points: Point[] }>();

  /** `target` are the labels that Prometheus adds, such as the pod's name. */
  constructor(target: Labels) {
    this.#target = target;
  }

  add(seconds: number, text: string): void {
    for (const { labels, value } of parseExposition(text)) {
      const all = { ...labels, ...this.#target };
      const key = JSON.stringify(Object.entries(all).toSorted());
      const series = this.#byLabels.get(key) ?? { labels: all, points: [] };
      series.points.push({ seconds, value });
      this.#byLabels.set(key, series);
    }
  }

  series(): readonly Series[] {
    return [...this.#byLabels.values()];
  }
}
