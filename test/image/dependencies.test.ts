import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Names of the packages that a module asks for at run time. */
function importedPackages(text: string): string[] {
  const code = text.replaceAll(/^import type .*?;$/gms, "");
  const specifiers = code.matchAll(/(?:^import |\bfrom |\bimport\()"(?![./]|node:)([^"\s]+)"/gm);
  return [...specifiers].map(([, specifier = ""]) => /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? "");
}

test("what the program imports is exactly its production dependencies, which is all that the image has", () => {
  const manifest: unknown = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
  const { dependencies } = manifest as { dependencies: Readonly<Record<string, string>> }; // npm's format
  const files = globSync("src/**/*.ts", { cwd: root }).filter((file) => !file.endsWith(".as.ts"));
  const imported = new Set(files.flatMap((file) => importedPackages(readFileSync(`${root}${file}`, "utf8"))));
  expect([...imported].toSorted()).toEqual(Object.keys(dependencies).toSorted());
});
