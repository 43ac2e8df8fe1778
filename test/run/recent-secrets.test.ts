import { expect, test } from "vitest";
import { RecentSecrets } from "../../src/run/recent-secrets.ts";

test("the latest secrets are kept, however many there are", () => {
  const secrets = new RecentSecrets();
  for (let index = 0; index < 100; index++) {
    secrets.add("the one that stays in use");
    secrets.add(`issued ${index}`);
  }
  const list = secrets.list();
  expect(list).toHaveLength(16);
  expect(list).toEqual(expect.arrayContaining(["the one that stays in use", "issued 99", "issued 90"]));
});
