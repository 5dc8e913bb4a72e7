import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import * as constants from "../../src/abi/constants.ts";
import * as flags from "../../src/abi/flags.ts";
import * as ioctl from "../../src/abi/ioctl.ts";
import * as notify from "../../src/abi/notify.ts";
import * as opcode from "../../src/abi/opcode.ts";
import { SINCE } from "../../src/abi/since.ts";
import { test } from "../support/harness.ts";
import header from "../fixtures/fuse-7.45.json" with { type: "json" };

/** Everything that the modules name as a number, with the value that the header gives it. */
function declared(): Map<string, bigint> {
  const found = new Map<string, bigint>();
  const add = (name: string, value: bigint) => {
    assert(!found.has(name), `${name} is declared twice`);
    found.set(name, value);
  };
  for (const module of [constants, flags, ioctl, notify, opcode]) {
    for (const [name, value] of Object.entries(module)) {
      if (typeof value === "bigint" || typeof value === "number") {
        // The former name of an INIT flag is a bit number as they are.
        add(name, name === "FUSE_DIRECT_IO_RELAX" ? 1n << BigInt(value) : BigInt(value));
      }
    }
  }
  for (const table of [opcode.OPCODE, notify.NOTIFY_CODE]) {
    for (const [name, value] of Object.entries(table)) add(name, BigInt(value));
  }
  for (const [name, bit] of Object.entries(flags.INIT_FLAG)) add(name, 1n << BigInt(bit));
  return found;
}

const theirs: Record<string, string | number> = Object.assign({}, header.constants, ...Object.values(header.enums));

test("constants: every constant and enum value of the header has its value", () => {
  const ours = declared();
  for (const [name, value] of Object.entries(theirs)) {
    assertStrictEquals(ours.get(name), BigInt(value), name);
  }
});

test("constants: no name is declared that the header lacks", () => {
  for (const name of declared().keys()) assert(Object.hasOwn(theirs, name), name);
});

test("OPCODE and NOTIFY_CODE: the whole enum, and nothing else", () => {
  const { CUSE_INIT_BSWAP_RESERVED: _, FUSE_INIT_BSWAP_RESERVED: __, ...opcodes } = header.enums.fuse_opcode;
  assertEquals<Record<string, number>>(opcode.OPCODE, opcodes);
  assertEquals<Record<string, number>>(notify.NOTIFY_CODE, header.enums.fuse_notify_code);
});

test("INIT_FLAG: one bit each, none twice", () => {
  const bits = Object.values(flags.INIT_FLAG);
  assertStrictEquals(new Set(bits).size, bits.length);
  for (const bit of bits) assert(Number.isInteger(bit) && bit >= 0 && bit < 64);
});

test("SINCE: every minor version that the header's changelog says, and no other", () => {
  assertEquals<Record<string, number>>(SINCE, header.since);
});

test("opcodeName: each opcode has its name, an unknown number shows itself", () => {
  for (const [name, code] of Object.entries(opcode.OPCODE)) assertStrictEquals(opcode.opcodeName(code), name);
  assertStrictEquals(opcode.opcodeName(9999), "opcode 9999");
});
