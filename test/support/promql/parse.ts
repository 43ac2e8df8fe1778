import type { SyntaxNode } from "@lezer/common";
import { parser } from "@prometheus-io/lezer-promql";

/** One label that a series must have, or must not. */
export interface Matcher {
  readonly label: string;
  readonly operator: string;
  readonly value: string;
}

/** The part of PromQL that dashboards and alerts here use. */
export type Expression =
  | { readonly kind: "number"; readonly value: number }
  | { readonly kind: "selector"; readonly text: string; readonly matchers: readonly Matcher[] }
  | { readonly kind: "range"; readonly selector: Expression & { readonly kind: "selector" }; readonly seconds: number }
  | { readonly kind: "call"; readonly name: string; readonly args: readonly Expression[] }
  | { readonly kind: "aggregate"; readonly name: string; readonly by: readonly string[]; readonly of: Expression }
  | ({ readonly kind: "binary"; readonly operator: string; readonly on: readonly string[] | undefined } & Sides);

interface Sides {
  readonly left: Expression;
  readonly right: Expression;
}

/** Reads a query with the grammar of Prometheus itself. Throws an Error for what is wrong or not known here. */
export function parseQuery(text: string): Expression {
  const tree = parser.parse(text);
  tree.iterate({
    enter: ({ type, from }) => {
      if (type.isError) throw new Error(`wrong PromQL at ${from}: ${text}`);
    },
  });
  const root = tree.topNode.firstChild;
  if (root === null) throw new Error("an empty query");
  return read(root, text);
}

function read(node: SyntaxNode, text: string): Expression {
  const parts = childrenOf(node);
  switch (node.name) {
    case "NumberDurationLiteral":
      return { kind: "number", value: Number(textOf(node, text)) };
    case "ParenExpr":
      return read(only(parts, text), text);
    case "VectorSelector":
      return { kind: "selector", text: textOf(node, text), matchers: matchersOf(node, text) };
    case "MatrixSelector":
      return rangeOf(parts, text);
    case "FunctionCall":
      return { kind: "call", name: textOf(part(node, "FunctionIdentifier", text), text), args: argsOf(node, text) };
    case "AggregateExpr":
      return aggregateOf(node, text);
    case "BinaryExpr":
      return binaryOf(node, text);
    default:
      throw new Error(`${node.name} is not supported here: ${text}`);
  }
}

function rangeOf([selector, duration]: readonly SyntaxNode[], text: string): Expression {
  const inner = selector && read(selector, text);
  if (inner?.kind !== "selector" || duration === undefined) throw new Error(`a range needs a selector: ${text}`);
  return { kind: "range", selector: inner, seconds: secondsOf(textOf(duration, text)) };
}

function aggregateOf(node: SyntaxNode, text: string): Expression {
  const [of, ...others] = argsOf(node, text);
  const modifier = node.getChild("AggregateModifier");
  const without = modifier !== null && modifier.getChild("By") === null;
  if (of === undefined || others.length > 0 || without) throw new Error(`not supported here: ${textOf(node, text)}`);
  const by = modifier === null ? [] : namesOf(modifier, text);
  return { kind: "aggregate", name: textOf(part(node, "AggregateOp", text), text), by, of };
}

function binaryOf(node: SyntaxNode, text: string): Expression {
  const parts = childrenOf(node);
  const modifier = node.getChild("MatchingModifierClause");
  const [left, operator] = parts;
  const right = parts.at(-1);
  const plain =
    modifier === null || (modifier.getChild("On") !== null && modifier.getChildren("GroupingLabels").length === 1);
  if (!left || !operator || !right || !plain || node.getChild("BoolModifier") !== null) {
    throw new Error(`not supported here: ${textOf(node, text)}`);
  }
  const on = modifier === null ? undefined : namesOf(modifier, text);
  return { kind: "binary", operator: textOf(operator, text), on, left: read(left, text), right: read(right, text) };
}

function argsOf(node: SyntaxNode, text: string): Expression[] {
  return childrenOf(part(node, "FunctionCallBody", text)).map((arg) => read(arg, text));
}

function matchersOf(node: SyntaxNode, text: string): Matcher[] {
  const name = textOf(part(node, "Identifier", text), text);
  const list = node.getChild("LabelMatchers");
  const given = (list === null ? [] : list.getChildren("UnquotedLabelMatcher")).map((matcher) => ({
    label: textOf(part(matcher, "LabelName", text), text),
    operator: textOf(part(matcher, "MatchOp", text), text),
    value: String(JSON.parse(textOf(part(matcher, "StringLiteral", text), text))),
  }));
  return [{ label: "__name__", operator: "=", value: name }, ...given];
}

function namesOf(node: SyntaxNode, text: string): string[] {
  return part(node, "GroupingLabels", text)
    .getChildren("LabelName")
    .map((name) => textOf(name, text));
}

const units: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };

function secondsOf(duration: string): number {
  return [...duration.matchAll(/(\d+)(ms|[smhd])/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * (units[unit ?? ""] ?? Number.NaN),
    0,
  );
}

function part(node: SyntaxNode, name: string, text: string): SyntaxNode {
  const child = node.getChild(name);
  if (child === null) throw new Error(`${textOf(node, text)} has no ${name}`);
  return child;
}

function only([first, ...others]: readonly SyntaxNode[], text: string): SyntaxNode {
  if (first === undefined || others.length > 0) throw new Error(`not supported here: ${text}`);
  return first;
}

function childrenOf(node: SyntaxNode): SyntaxNode[] {
  const children: SyntaxNode[] = [];
  for (let child = node.firstChild; child !== null; child = child.nextSibling) children.push(child);
  return children;
}

function textOf({ from, to }: SyntaxNode, text: string): string {
  return text.slice(from, to);
}
