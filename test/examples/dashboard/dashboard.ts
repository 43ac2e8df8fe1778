import { readFileSync } from "node:fs";

export interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly legendFormat: string;
}

export interface Panel {
  readonly id: number;
  readonly title: string;
  readonly description: string;
  readonly gridPos: { readonly h: number; readonly w: number; readonly x: number; readonly y: number };
  readonly fieldConfig: { readonly defaults: { readonly unit: string; readonly min: number; readonly max?: number } };
  readonly targets: readonly Target[];
}

export interface Dashboard {
  readonly title: string;
  readonly uid: string;
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
}

/** The dashboard of the examples. */
export function readDashboard(): Dashboard {
  const file = new URL("../../../examples/grafana-dashboard.json", import.meta.url);
  return JSON.parse(readFileSync(file, "utf8")) as Dashboard; // a test checks what is read of it
}

/** A query as Grafana sends it: every variable with its value. */
export function withVariables(expr: string, rateSeconds: number): string {
  const values: Readonly<Record<string, string>> = {
    namespace: ".*",
    pod: ".*",
    __rate_interval: `${Math.round(rateSeconds * 1000)}ms`,
  };
  return expr.replaceAll(/\$(\w+)/g, (all, name: string) => values[name] ?? all);
}

/** The legend of one series of a panel. */
export function legendOf({ legendFormat }: Target, labels: Readonly<Record<string, string>>): string {
  return legendFormat.replaceAll(/\{\{(\w+)\}\}/g, (_, label: string) => labels[label] ?? "");
}
