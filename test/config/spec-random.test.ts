import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/parse.ts";
import { ConfigError } from "../../src/errors.ts";
import { inputOf } from "./support.ts";

const object = readFileSync(new URL("fixtures/object.yaml", import.meta.url), "utf8");
const argv = ["populate", "--target", "/data", "--spec", "spec.yaml"];

describe("whatever the spec, the end is a Config or a ConfigError", () => {
  const accepts = async (text: string) => {
    try {
      await parseConfig(inputOf(argv, { files: { "spec.yaml": text } }));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      expect(error.problems.length).toBeGreaterThan(0);
      for (const problem of error.problems) expect(problem).not.toBe("");
    }
  };

  it("of random text", async () => {
    const fragments = [
      "bucket",
      ": ",
      "\n",
      "  ",
      "- ",
      "{",
      "}",
      "[",
      "]",
      "&a ",
      "*a",
      "!!",
      '"',
      "'",
      "|",
      "? ",
      "---",
      "#",
      "\t",
      "spec",
      "generic",
      "0",
      ",",
    ];
    const pieces = fc.array(fc.oneof(fc.constantFrom(...fragments), fc.string({ unit: "binary", maxLength: 3 })));
    await fc.assert(
      fc.asyncProperty(
        pieces.map((list) => list.join("")),
        accepts,
      ),
      { numRuns: 1500 },
    );
  });

  it("of random JSON with our field names", async () => {
    const name = fc.constantFrom(
      "bucket",
      "region",
      "endpoint",
      "path",
      "mode",
      "generic",
      "labels",
      "rrsaConfigs",
      "roleArn",
      "throughput",
      "spec",
      "kind",
      "__proto__",
    );
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, fc.jsonValue(), fc.dictionary(name, tie("value"), { maxKeys: 5 })),
    }));
    await fc.assert(
      fc.asyncProperty(
        value.map((json) => JSON.stringify(json)),
        accepts,
      ),
      { numRuns: 1000 },
    );
  });

  it("of a real object with one change", async () => {
    const change = fc.tuple(fc.nat(object.length), fc.nat(20), fc.string({ maxLength: 5 }));
    await fc.assert(
      fc.asyncProperty(change, ([at, cut, text]) => accepts(object.slice(0, at) + text + object.slice(at + cut))),
      { numRuns: 1000 },
    );
  });
});
