import { assert, assertEquals, assertGreater, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import fs from "node:fs/promises";
import { ERRNO, type ErrnoName, errnoName, errnoOf, FuseError } from "../src/errno.ts";
import { mount } from "../src/mount/mount.ts";
import { run, RUNTIME, tempDir, test } from "./support/harness.ts";

test("ERRNO: names and numbers are the machine's", { needs: ["tool:python3"] }, async () => {
  const program = "import errno, json; print(json.dumps({n: v for n, v in vars(errno).items() if n[0] == 'E'}))";
  const machine = JSON.parse((await run(["python3", "-c", program])).stdout) as Record<string, number>;
  // An older Python lacks a few of the last.
  const known = Object.entries(ERRNO).filter(([name]) => name in machine);
  assertGreater(known.length, 80);
  for (const [name, value] of known) assertStrictEquals(value, machine[name], name);
});

test("errnoName: every number has its name, with either sign; an unknown one shows itself", () => {
  for (const [name, value] of Object.entries(ERRNO)) {
    assertStrictEquals(errnoName(value), name);
    assertStrictEquals(errnoName(-value), name);
  }
  assertStrictEquals(errnoName(4000), "errno 4000");
  assertStrictEquals(errnoName(-4000), "errno 4000");
});

test("FuseError: from a name and from a number of either sign", () => {
  for (const error of [new FuseError("EROFS"), new FuseError(30), new FuseError(-30)]) {
    assert(error instanceof Error);
    assertEquals([error.name, error.code, error.errno, error.message], ["FuseError", "EROFS", 30, "EROFS"]);
  }
  const cause = new Error("cause");
  const error = new FuseError("EPERM", "open /x: not so", { syscall: "open", path: "/x", cause });
  assertEquals([error.message, error.syscall, error.path], ["open /x: not so", "open", "/x"]);
  assertStrictEquals(error.cause, cause);
  assert(!("cause" in new FuseError("EPERM", "x")));
});

test("FuseError: a number without a name is answered as EIO", () => {
  const error = new FuseError(4000);
  assertEquals([error.code, error.errno], ["EIO", ERRNO.EIO]);
});

test("errnoOf: a FuseError is its own", () => {
  for (const [name, value] of Object.entries(ERRNO)) {
    assertStrictEquals(errnoOf(new FuseError(name as ErrnoName)), value);
  }
});

/** An error as one of Deno.errors, which says its kind by a name alone. */
function named(name: string): Error {
  return Object.assign(new Error("x"), { name });
}

// What Deno makes of no errno.
const MEANT: Readonly<Record<string, ErrnoName>> = {
  NotCapable: "EACCES",
  InvalidData: "EINVAL",
  WriteZero: "ENOSPC",
  UnexpectedEof: "EIO",
  BadResource: "EBADF",
  Busy: "EBUSY",
  NotSupported: "EOPNOTSUPP",
};

test("errnoOf: each of Deno.errors by its class, without a code, is an errno of which Deno makes that class", {
  needs: ["root", "fuse"],
  except: { node: "it has no Deno.errors", bun: "it has no Deno.errors" },
  sanitize: false,
}, async () => {
  await using dir = await tempDir();
  const lookup = ({ name }: { name: string }): never => {
    throw new FuseError(name as ErrnoName);
  };
  await using _session = await mount({ lookup, getattr: () => ({ attr: { mode: 0o040755 } }) }, dir.path);
  const made = new Map<string, string[]>();
  for (const code of Object.keys(ERRNO)) {
    const thrown = await assertRejects(() => Deno.lstat(dir.join(code))) as Error;
    assertStrictEquals(errnoName(errnoOf(thrown)), code);
    const { constructor: { name } } = thrown;
    made.set(name, [...made.get(name) ?? [], code]);
  }
  for (const [name, type] of Object.entries(Deno.errors) as [string, new (message: string) => Error][]) {
    // Says nothing that an errno could.
    if (name === "Http") continue;
    const code = errnoName(errnoOf(new type("x")));
    assert((made.get(name) ?? [MEANT[name]]).includes(code), `Deno.errors.${name} is ${code}`);
    assertStrictEquals(errnoName(errnoOf(named(name))), code, name);
  }
});

test("errnoOf: a code of node comes first, and only where it is one", () => {
  const coded = (code: unknown, error: Error = new Error("x")) => Object.assign(error, { code });
  for (const [name, value] of Object.entries(ERRNO)) assertStrictEquals(errnoOf(coded(name)), value);
  assertStrictEquals(errnoOf(coded("ENOTEMPTY", named("NotFound"))), ERRNO.ENOTEMPTY);
  assertStrictEquals(errnoOf(coded("ERR_INVALID_ARG_TYPE")), 0);
  assertStrictEquals(errnoOf(coded("ERR_X", named("NotFound"))), ERRNO.ENOENT);
  assertStrictEquals(errnoOf(coded(2)), 0);
  for (const name of ["toString", "__proto__", "constructor"]) {
    assertStrictEquals(errnoOf(coded(name)), 0);
    assertStrictEquals(errnoOf({ name }), 0);
  }
});

test("errnoOf: the text of an error says it where no code does, and only as Deno writes it", () => {
  const says = (message: unknown, name = "Error") => errnoOf({ name, message });
  assertStrictEquals(says("Stale file handle (os error 116): stat '/x'"), ERRNO.ESTALE);
  assertStrictEquals(says("Operation not permitted (os error 1)", "PermissionDenied"), ERRNO.EPERM);
  for (const no of ["(os error 0)", "(os error 999)", "(os error 1160)", "(os error -5)", "os error 5", 5, null]) {
    assertStrictEquals(says(no), 0, String(no));
    assertStrictEquals(says(no, "NotFound"), ERRNO.ENOENT, String(no));
  }
});

/** A call, and the errno that it fails with. */
type Failing = [() => Promise<unknown>, ErrnoName];

function ofDeno(folder: string, file: string): Failing[] {
  return [
    [() => Deno.open(`${folder}/none`), "ENOENT"],
    [() => Deno.mkdir(file), "EEXIST"],
    [() => Deno.readTextFile(folder), "EISDIR"],
    [() => Deno.readTextFile(`${file}/x`), "ENOTDIR"],
    [() => Deno.remove(folder), "ENOTEMPTY"],
    [() => Deno.readLink(file), "EINVAL"],
  ];
}

test("errnoOf: what real calls throw", async () => {
  const folder = await fs.mkdtemp("/tmp/fusewire-errno-");
  const file = `${folder}/file`;
  try {
    await fs.writeFile(file, "");
    const cases: Failing[] = [
      ...RUNTIME === "deno" ? ofDeno(folder, file) : [],
      [() => fs.readFile(`${file}/x`), "ENOTDIR"],
      [() => fs.readFile(`${folder}/none`), "ENOENT"],
      [() => fs.mkdir(file), "EEXIST"],
      [() => fs.readFile(folder), "EISDIR"],
      [() => fs.rmdir(folder), "ENOTEMPTY"],
      [() => fs.readlink(file), "EINVAL"],
    ];
    for (const [call, code] of cases) {
      const error = await assertRejects(call);
      assertStrictEquals(errnoName(errnoOf(error)), code, String(error));
    }
  } finally {
    await fs.rm(folder, { recursive: true });
  }
});

test("errnoOf: each name of DOMException is what the error of the runtimes of that meaning is", () => {
  const alike: Record<string, string> = {
    NotFoundError: "NotFound",
    NotAllowedError: "PermissionDenied",
    SecurityError: "PermissionDenied",
    TypeMismatchError: "NotADirectory",
    PathExistsError: "AlreadyExists",
    InvalidModificationError: "InvalidData",
    DataCloneError: "InvalidData",
    InvalidStateError: "Busy",
    NotSupportedError: "NotSupported",
    QuotaExceededError: "WriteZero",
    NotReadableError: "UnexpectedEof",
    AbortError: "Interrupted",
    TimeoutError: "TimedOut",
  };
  const of = (name: string) => errnoOf(new DOMException("x", name));
  for (const [name, other] of Object.entries(alike)) assertStrictEquals(of(name), errnoOf(named(other)), name);
  assertEquals([of("NoModificationAllowedError"), of("NetworkError")], [ERRNO.EROFS, ERRNO.EREMOTEIO]);
  assertEquals([of("SyntaxError"), of("Error")], [0, 0]);
});

test("errnoOf: what the platform throws", async () => {
  const thrown = (call: () => unknown) => errnoName(errnoOf(assertThrows(call)));
  assertEquals(thrown(() => AbortSignal.abort().throwIfAborted()), "EINTR");
  assertEquals(thrown(() => structuredClone(() => {})), "EINVAL");
  assertEquals(thrown(() => crypto.getRandomValues(new Uint8Array(65_537))), "ENOSPC");
  const late = AbortSignal.timeout(1);
  await new Promise((resolve) => late.addEventListener("abort", resolve));
  assertEquals(errnoName(errnoOf(late.reason)), "ETIMEDOUT");
});

test("errnoOf: what says no errno is 0", () => {
  for (const thrown of [undefined, null, 0, 2, "ENOENT", Symbol("x"), {}, [], new Error("x"), new TypeError("x")]) {
    assertStrictEquals(errnoOf(thrown), 0);
  }
});
