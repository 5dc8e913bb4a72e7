import { assert, assertEquals, assertGreater, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import fs from "node:fs/promises";
import { ERRNO, type ErrnoName, errnoName, errnoOf, FuseError } from "../src/errno.ts";
import { run, RUNTIME, test } from "./support/harness.ts";

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

test("errnoOf: each of Deno.errors by its class, without a code", () => {
  const expected: Record<string, ErrnoName> = {
    NotFound: "ENOENT",
    PermissionDenied: "EACCES",
    NotCapable: "EACCES",
    AlreadyExists: "EEXIST",
    ConnectionRefused: "ECONNREFUSED",
    ConnectionReset: "ECONNRESET",
    ConnectionAborted: "ECONNABORTED",
    NotConnected: "ENOTCONN",
    AddrInUse: "EADDRINUSE",
    AddrNotAvailable: "EADDRNOTAVAIL",
    BrokenPipe: "EPIPE",
    InvalidData: "EINVAL",
    TimedOut: "ETIMEDOUT",
    Interrupted: "EINTR",
    WriteZero: "ENOSPC",
    WouldBlock: "EAGAIN",
    UnexpectedEof: "EIO",
    BadResource: "EBADF",
    Busy: "EBUSY",
    NotSupported: "EOPNOTSUPP",
    FilesystemLoop: "ELOOP",
    IsADirectory: "EISDIR",
    NetworkUnreachable: "ENETUNREACH",
    NotADirectory: "ENOTDIR",
  };
  for (const [name, code] of Object.entries(expected)) assertStrictEquals(errnoOf(named(name)), ERRNO[code], name);
  if (RUNTIME !== "deno") return;
  for (const [name, type] of Object.entries(Deno.errors) as [string, new (message: string) => Error][]) {
    // Says nothing that an errno could.
    if (name === "Http") continue;
    const code = expected[name];
    assert(code !== undefined, `Deno.errors.${name} has no errno`);
    assertStrictEquals(errnoOf(new type("x")), ERRNO[code], name);
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

test("errnoOf: each name of DOMException that says one", () => {
  const expected: Record<string, ErrnoName | undefined> = {
    NotFoundError: "ENOENT",
    NotAllowedError: "EACCES",
    SecurityError: "EACCES",
    NoModificationAllowedError: "EROFS",
    TypeMismatchError: "ENOTDIR",
    PathExistsError: "EEXIST",
    InvalidModificationError: "EINVAL",
    InvalidStateError: "EBUSY",
    NotSupportedError: "EOPNOTSUPP",
    QuotaExceededError: "ENOSPC",
    AbortError: "EINTR",
    TimeoutError: "ETIMEDOUT",
    NetworkError: "EREMOTEIO",
    NotReadableError: "EIO",
    DataCloneError: "EINVAL",
    SyntaxError: undefined,
    Error: undefined,
  };
  for (const [name, code] of Object.entries(expected)) {
    assertStrictEquals(errnoOf(new DOMException("x", name)), code === undefined ? 0 : ERRNO[code], name);
  }
  const aborted = assertThrows(() => AbortSignal.abort().throwIfAborted());
  assertStrictEquals(errnoOf(aborted), ERRNO.EINTR);
});

test("errnoOf: what says no errno is 0", () => {
  for (const thrown of [undefined, null, 0, 2, "ENOENT", Symbol("x"), {}, [], new Error("x"), new TypeError("x")]) {
    assertStrictEquals(errnoOf(thrown), 0);
  }
});
