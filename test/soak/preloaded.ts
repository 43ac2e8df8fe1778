import { readFile, writeFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";

/**
 * The environment of a program that loads one of the modules beside this one first. It gets it without types: taking them
 * away costs a process more memory than the program under test needs.
 */
export async function preloaded(name: string, directory: string): Promise<{ readonly NODE_OPTIONS: string }> {
  const source = await readFile(new URL(`${name}.ts`, import.meta.url), "utf8");
  const path = `${directory}/${name}.mjs`;
  await writeFile(path, stripTypeScriptTypes(source));
  return { NODE_OPTIONS: `--import ${path}` };
}
