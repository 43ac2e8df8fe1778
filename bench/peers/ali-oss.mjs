/**
 * The program one writes first: ali-oss lists, p-limit bounds, each object goes to its file as a stream. Nothing is verified.
 * `node ali-oss.mjs ENDPOINT BUCKET PREFIX TARGET CONCURRENCY`, or with `list` as TARGET: only count the keys.
 * Credentials: ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET.
 */
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import OSS from "ali-oss";
import pLimit from "p-limit";

const [endpoint, bucket, prefix, target, concurrency] = process.argv.slice(2);
const client = new OSS({
  endpoint,
  bucket,
  region: "oss-cn-hangzhou",
  accessKeyId: process.env.ALIBABA_CLOUD_ACCESS_KEY_ID,
  accessKeySecret: process.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET,
  authorizationV4: true,
  timeout: 600_000,
});
const bound = pLimit(Number(concurrency));
const folders = new Map();

/** Each folder is made once. */
function folder(path) {
  let made = folders.get(path);
  if (made === undefined) {
    made = mkdir(path, { recursive: true });
    folders.set(path, made);
  }
  return made;
}

async function download(key) {
  const path = join(target, key.slice(prefix.length));
  await folder(dirname(path));
  await client.get(key, path);
}

async function* pages() {
  let token;
  do {
    // Anew each time, for the library keeps the token in them; and never an empty parameter, which it signs wrongly.
    const query = { "max-keys": "1000", ...(prefix && { prefix }), ...(token && { "continuation-token": token }) };
    const page = await client.listV2(query);
    yield page.objects ?? [];
    token = page.nextContinuationToken;
  } while (token);
}

let keys = 0;
const downloads = [];
for await (const page of pages()) {
  keys += page.length;
  if (target === "list") continue;
  downloads.push(...page.map((object) => bound(download, object.name)));
}
await Promise.all(downloads);
console.log(keys);
