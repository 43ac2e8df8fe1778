/** Character references of XML: `&amp;`, `&#65;`, `&#x41;`. */

const entity = /&(?:([A-Za-z]{1,8}|#[0-9]{1,10}|#x[0-9A-Fa-f]{1,10});)?/g;
const named: ReadonlyMap<string, string> = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
]);

/** Resolves the five named and all numeric references; `refuse` decides what an unknown one becomes. */
export function decodeEntities(text: string, refuse: (reference: string) => string): string {
  return text.replace(entity, (reference: string, name: string | undefined) => {
    if (name === undefined) return refuse(reference);
    if (!name.startsWith("#")) return named.get(name) ?? refuse(reference);
    const point = name[1] === "x" ? Number.parseInt(name.slice(2), 16) : Number.parseInt(name.slice(1), 10);
    const isCharacter = point > 0 && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
    return isCharacter ? String.fromCodePoint(point) : refuse(reference);
  });
}
