/** Stands in for a command: appends how it was called, as a line of JSON, to the file that its first argument names. */
import { appendFileSync } from "node:fs";
import { text } from "node:stream/consumers";

const [file = "", name, ...args] = process.argv.slice(2);
const call = { name, args, input: await text(process.stdin), env: process.env };
appendFileSync(file, `${JSON.stringify(call)}\n`);
