import { type Kind, single } from "./kinds.ts";

/** An http(s) URL; its user and password, if it has any, become basic authentication. */
export const httpUrl: Kind<string> = single(
  "URL",
  "an http or https URL, such as http://pushgateway.monitoring:9091",
  (value) => {
    // Spaces and backslashes are refused here because the URL parser would drop or turn them.
    if (!/^https?:\/\/[^\s\\#]+$/i.test(value) || !URL.canParse(value)) return undefined;
    const { href, port } = new URL(value);
    return port === "0" ? undefined : href;
  },
);

/** Labels that our metrics, or those of the process, have: a Pushgateway would overwrite them, and series would collide. */
const taken: ReadonlySet<string> = new Set([
  ...["outcome", "operation", "status", "kind", "on", "le", "version", "ownerUID"],
  ...["type", "space", "quantile", "major", "minor", "patch"],
]);

/** `NAME=VALUE`, one a line; the name as Prometheus wants it. */
export const metricsLabels: Kind<Readonly<Record<string, string>>> = {
  placeholder: "NAME=VALUE",
  must: "NAME=VALUE, with a name of letters, digits and underscores that no metric of ours uses, each name once",
  repeats: true,
  parse: (value) => {
    const labels: Record<string, string> = {};
    for (const line of value.split("\n").filter((entry) => entry !== "")) {
      const [, name, text] = /^([a-zA-Z_][a-zA-Z0-9_]*)=(.*)$/s.exec(line) ?? [];
      if (name === undefined || text === undefined || !text.isWellFormed() || text.includes("\0")) return undefined;
      if (name.startsWith("__") || taken.has(name) || Object.hasOwn(labels, name)) return undefined;
      labels[name] = text;
    }
    return Object.keys(labels).length === 0 ? undefined : labels;
  },
};
