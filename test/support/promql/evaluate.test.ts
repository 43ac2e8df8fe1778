import { expect, test } from "vitest";
import { evaluate, unmatchedSelectors } from "./evaluate.ts";
import { parseExposition, Scrapes, type Series } from "./series.ts";

/** Series from their values at 0, 10, 20, … seconds. */
function every10s(name: string, labels: Readonly<Record<string, string>>, values: readonly number[]): Series {
  const points = values.map((value, index) => ({ seconds: index * 10, value }));
  return { labels: { __name__: name, ...labels }, points };
}

const series = [
  every10s("up", { pod: "a" }, [1, 1, 1, 1]),
  every10s("bytes_total", { pod: "a", way: "in" }, [0, 100, 200, 300]),
  every10s("bytes_total", { pod: "a", way: "out" }, [0, 50, 100, 150]),
  every10s("bytes_total", { pod: "b", way: "in" }, [100, 200, 10, 110]),
  every10s("limit", { pod: "a" }, [20, 20, 20, 20]),
  every10s("seconds_bucket", { le: "1" }, [0, 0, 0, 10]),
  every10s("seconds_bucket", { le: "2" }, [0, 0, 0, 30]),
  every10s("seconds_bucket", { le: "+Inf" }, [0, 0, 0, 40]),
];

const at = (query: string, seconds = 30) => evaluate(query, series, seconds);

test("the text format is read with escapes, without comments and without time stamps", () => {
  const text = '# HELP a x\na{k="x\\"y\\n",l=""} 1.5e3 1700000000\nb +Inf\n';
  expect(parseExposition(text)).toEqual([
    { labels: { __name__: "a", k: 'x"y\n', l: "" }, value: 1500 },
    { labels: { __name__: "b" }, value: Number.POSITIVE_INFINITY },
  ]);
  expect(() => parseExposition("a{k=}1")).toThrow("not a sample");
});

test("scrapes get the labels of their target", () => {
  const scrapes = new Scrapes({ pod: "p" });
  scrapes.add(1, "a 1\n");
  scrapes.add(2, "a 3\n");
  const points = [
    { seconds: 1, value: 1 },
    { seconds: 2, value: 3 },
  ];
  expect(scrapes.series()).toEqual([{ labels: { __name__: "a", pod: "p" }, points }]);
});

test("a rate counts from edge to edge and survives a restart", () => {
  expect(at('rate(bytes_total{way="in"}[30s])')).toEqual([
    { labels: { pod: "a", way: "in" }, value: 10 },
    { labels: { pod: "b", way: "in" }, value: 5.5 },
  ]);
  expect(at("rate(bytes_total[5s])")).toEqual([]);
});

test("sums, ratios and comparisons keep the labels that they should", () => {
  expect(at('sum by (pod) (rate(bytes_total{pod="a"}[30s])) / limit')).toEqual([{ labels: { pod: "a" }, value: 0.75 }]);
  expect(at("sum(up)")).toEqual([{ labels: {}, value: 1 }]);
  expect(at("limit > 19")).toEqual([{ labels: { __name__: "limit", pod: "a" }, value: 20 }]);
  expect(at("limit > 20")).toEqual([]);
  expect(at("100 - limit * 2")).toEqual([{ labels: { pod: "a" }, value: 60 }]);
  expect(at("bytes_total and on (pod) limit").length).toBe(2);
  expect(at("bytes_total unless on (pod) limit").length).toBe(1);
  expect(at('bytes_total{way!~"o.*"}').length).toBe(2);
});

test("a quantile lies between the bounds of its bucket", () => {
  expect(at("histogram_quantile(0.5, seconds_bucket)")).toEqual([{ labels: {}, value: 1.5 }]);
  expect(at("histogram_quantile(0.99, seconds_bucket)")).toEqual([{ labels: {}, value: 2 }]);
  expect(at("histogram_quantile(0.99, seconds_bucket)", 20)).toEqual([]);
});

test("what is no PromQL, or more of it than is known here, is refused rather than wrong", () => {
  for (const query of ["sum(", "up{", "up offset 5m", "topk(3, up)", "sum without (pod) (up)", "deriv(up[5m])"]) {
    expect(() => at(query), query).toThrow();
  }
});

test("a name or a label that no series has is found", () => {
  expect(unmatchedSelectors('up / on (pod) down{x="1"}', series)).toEqual(['down{x="1"}']);
  expect(unmatchedSelectors('rate(bytes_total{way="up"}[1m])', series)).toEqual(['bytes_total{way="up"}']);
});
