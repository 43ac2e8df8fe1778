import type { Document, LineCounter, Node, YAMLMap } from "yaml";
import { quote } from "./kinds.ts";
import { suggestion } from "./names.ts";
import type { Remarks, Text } from "./texts.ts";

/** The `yaml` package, which is loaded only when there is a spec. */
export type Yaml = typeof import("yaml");

export interface SpecDocument {
  readonly yaml: Yaml;
  readonly document: Document;
  readonly lines: LineCounter;
  readonly remarks: Remarks;
}

/** A node that is present, with its name for sentences, such as `spec.bucket (line 3, column 11)`. */
export interface Field {
  readonly node: Node;
  readonly path: string;
  readonly label: string;
}

export function fieldAt(spec: SpecDocument, node: Node, path: string): Field {
  const { line, col } = spec.lines.linePos(node.range?.[0] ?? 0);
  return { node, path, label: `${path} (line ${line}, column ${col})` };
}

/** The fields of a map by name, null ones too. Undefined, with a problem, when it is no map. */
export function mapFields(spec: SpecDocument, field: Field): ReadonlyMap<string, Field> | undefined {
  const node = field.node;
  if (!spec.yaml.isMap(node)) {
    spec.remarks.problems.push(`${field.label} must be a map of fields, got ${describe(spec, node)}`);
    return undefined;
  }
  return new Map(entries(spec, node, field));
}

function entries(spec: SpecDocument, map: YAMLMap, parent: Field): readonly (readonly [string, Field])[] {
  const { yaml, document, remarks } = spec;
  return map.items.flatMap(({ key, value }) => {
    if (!yaml.isScalar(key) || typeof key.value !== "string") {
      const place = yaml.isNode(key) ? fieldAt(spec, key, parent.path || "the object") : parent;
      remarks.problems.push(`${place.label} has a field whose name is not text`);
      return [];
    }
    const name = key.value;
    // Only the fields that we know are ever looked into, so an alias cannot make us expand others without end.
    const node = yaml.isAlias(value) ? (value.resolve(document) ?? value) : value;
    const shown = /^[\w./-]{1,80}$/.test(name) ? name : quote(name);
    const path = parent.path === "" ? shown : `${parent.path}.${shown}`;
    // A null may have no node at all.
    return [[name, { ...fieldAt(spec, key, path), node: yaml.isNode(node) ? node : new yaml.Scalar(null) }] as const];
  });
}

/** Reports fields that are not known, as problems or as warnings. */
export function judgeNames(
  fields: ReadonlyMap<string, Field>,
  known: readonly string[],
  into: string[],
  consequence = "",
): void {
  for (const [name, field] of fields) {
    if (known.includes(name)) continue;
    into.push(`${field.label} is not a field that we know${consequence}${suggestion(name, known)}`);
  }
}

/** The field of that name; undefined when it is absent or null. */
export function present(spec: SpecDocument, fields: ReadonlyMap<string, Field>, name: string): Field | undefined {
  const field = fields.get(name);
  return field === undefined || isNull(spec, field.node) ? undefined : field;
}

/** The text of a field; refused, with a problem, when it is something else. */
export function textOf(spec: SpecDocument, field: Field): Text {
  const { node, label } = field;
  if (spec.yaml.isScalar(node) && typeof node.value === "string") return { text: node.value, label, from: "spec" };
  const hint = spec.yaml.isScalar(node) ? "; put it in quotes" : "";
  spec.remarks.problems.push(`${label} must be text, got ${describe(spec, node)}${hint}`);
  return { text: "", label, from: "spec", refused: true };
}

/** The number of a field as text; refused, with a problem, when it is something else. */
export function numberOf(spec: SpecDocument, field: Field): Text {
  const { node, label } = field;
  if (spec.yaml.isScalar(node) && typeof node.value === "number") return { text: `${node.value}`, label, from: "spec" };
  spec.remarks.problems.push(`${label} must be a number, got ${describe(spec, node)}`);
  return { text: "", label, from: "spec", refused: true };
}

/** Says what a node is without its content, which might be secret. */
function describe(spec: SpecDocument, node: Node): string {
  if (spec.yaml.isMap(node)) return "a map";
  if (spec.yaml.isSeq(node)) return "a list";
  if (spec.yaml.isAlias(node)) return "an alias without its anchor";
  if (!spec.yaml.isScalar(node)) return "something else";
  const value = node.value;
  if (typeof value === "number" || typeof value === "bigint") return `the number ${value}`;
  if (typeof value === "boolean") return `the boolean ${value}`;
  return typeof value === "string" ? "text" : "something else";
}

function isNull(spec: SpecDocument, node: Node): boolean {
  return spec.yaml.isScalar(node) && node.value === null;
}
