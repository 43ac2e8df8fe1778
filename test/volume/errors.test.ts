import { expect, it } from "vitest";
import { CopyError } from "../../src/errors.ts";
import { bytesTaken, errnoOf, nameError, volumeError } from "../../src/volume/errors.ts";
import { parseIdentity } from "../../src/volume/identity.ts";

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code, syscall: "write" });
}

it.each([
  ["ENOSPC", "volume-full", "volume-full"],
  ["EDQUOT", "volume-full", "volume-full"],
  ["EROFS", "volume", "volume"],
  ["EIO", "volume", "volume"],
  ["EACCES", "volume", "volume"],
  ["EPERM", "volume", "volume"],
  ["EMFILE", "volume", "volume"],
  ["ESTALE", "volume", "volume"],
  ["EXYZZY", "volume", "volume"],
  ["EFBIG", "unsupported", "unsupported"],
  ["EEXIST", "volume", "occupied"],
  ["ELOOP", "volume", "occupied"],
  ["ENOTDIR", "volume", "occupied"],
  ["EISDIR", "volume", "occupied"],
  ["ENAMETOOLONG", "volume", "unsupported"],
  ["EILSEQ", "volume", "unsupported"],
  ["EINVAL", "volume", "unsupported"],
])("%s is %s on data and %s at a name", (code, onData, atName) => {
  const cause = systemError(code);
  const message = expect.stringMatching(new RegExp(`^cannot write /target/a: .+ \\(${code}\\)$`));
  expect(volumeError(cause, "write", "/target/a")).toMatchObject({ kind: onData, cause, message });
  expect(nameError(cause, "write", "/target/a")).toMatchObject({ kind: atName, cause, message });
});

it.each([
  [-122, "volume-full", "the disk quota is used up (EDQUOT)"],
  [-116, "volume", "the network filesystem lost it (ESTALE)"],
  [-117, "volume", "the filesystem is damaged (EUCLEAN)"],
  [-74, "volume", "the filesystem is damaged (EBADMSG)"],
])("an error that Node knows only as %i is told by its name", (errno, kind, words) => {
  const cause = Object.assign(systemError(`Unknown system error ${errno}`), { errno });
  expect(volumeError(cause, "write", "/a")).toMatchObject({ kind, message: `cannot write /a: ${words}` });
});

it("what is no system error is not dressed up as one", () => {
  for (const error of [new TypeError("bug"), new CopyError("missing", "gone"), "text", undefined]) {
    expect(volumeError(error, "write", "/a")).toBe(error);
    expect(errnoOf(error)).toBeUndefined();
  }
});

it("a write that takes no byte and reports nothing is an I/O error, not a reason to go on for ever", () => {
  expect([1, 4096].map(bytesTaken)).toEqual([1, 4096]);
  const zero = (): unknown => {
    try {
      return bytesTaken(0);
    } catch (error) {
      return volumeError(error, "write", "/t/f");
    }
  };
  expect(zero()).toMatchObject({
    kind: "volume",
    message: "cannot write /t/f: the device reported an I/O error (EIO)",
  });
});

it("the identity is the one that file permissions are checked against", () => {
  const status = "Name:\tnode\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t8 9 \nCapEff:\t00000000000000c1\n";
  expect(parseIdentity(status)).toEqual({ uid: 4, gid: 8, overridesPermissions: false });
  expect(parseIdentity(status.replace("c1", "c2")).overridesPermissions).toBe(true);
  expect(parseIdentity("Name:\tnode\nCapEff:\nUid:\t1\t2\t3\t4\n").overridesPermissions).toBe(false);
});
