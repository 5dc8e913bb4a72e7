/**
 * Calls whose functions in the C library change all threads, or are not there. Source: `asm/unistd.h` of each
 * architecture.
 */
import type { Architecture } from "../../../ffi/libc.ts";

const X86_64 = {
  getgroups: 115,
  setgroups: 116,
  setfsuid: 122,
  setfsgid: 123,
  capget: 125,
  capset: 126,
  nameToHandleAt: 303,
  openByHandleAt: 304,
};

/** The name of a call. */
export type Call = keyof typeof X86_64;

/** The numbers of the calls. */
export const SYSCALLS: Readonly<Record<Architecture, Readonly<Record<Call, number>>>> = {
  x86_64: X86_64,
  aarch64: {
    getgroups: 158,
    setgroups: 159,
    setfsuid: 151,
    setfsgid: 152,
    capget: 90,
    capset: 91,
    nameToHandleAt: 264,
    openByHandleAt: 265,
  },
};
