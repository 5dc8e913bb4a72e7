import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { FuseError } from "../../src/errno.ts";
import {
  helperOptions,
  kernelData,
  kernelFlags,
  type KernelMountOptions,
  kernelType,
  settingsOf,
} from "../../src/mount/options.ts";
import { test } from "../support/harness.ts";

test("settingsOf: the defaults", () => {
  const { fsname, subtype, nosuid, nodev, noexec, readOnly, allowOther, autoUnmount } = settingsOf({});
  assertEquals({ fsname, subtype }, { fsname: "fusewire", subtype: "fusewire" });
  assertEquals({ nosuid, nodev, autoUnmount }, { nosuid: true, nodev: true, autoUnmount: true });
  assertEquals({ noexec, readOnly, allowOther }, { noexec: false, readOnly: false, allowOther: false });
});

test("settingsOf: a value that an option cannot have is EINVAL, and the message names the option", () => {
  const wrong: Record<string, unknown[]> = {
    fsname: ["a\0b", "", 7, "x".repeat(4091), "\u{e9}".repeat(2046), "\ud800"],
    subtype: ["\0", "x".repeat(4091), true],
    maxRead: [0, -1, 1.5, NaN, 2 ** 32, "4096"],
    fd: [-1, 0.5, 2 ** 31, "3"],
    allowOther: ["yes", 1],
    nodev: [0],
    autoUnmount: ["no"],
  };
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      const error = assertThrows(
        () => settingsOf({ [name]: value } as KernelMountOptions),
        FuseError,
        `mount option ${name} `,
      );
      assertEquals(error.code, "EINVAL");
    }
  }
  settingsOf({ fsname: "x".repeat(4090), subtype: "\u{e9}".repeat(2045), maxRead: 2 ** 32 - 1, fd: 0 });
  // A byte that is no UTF-8.
  settingsOf({ fsname: "\udcff", subtype: "" });
});

test("kernelFlags and kernelData: every option is there, and only where it is asked for", () => {
  assertEquals(kernelFlags(settingsOf({})), 2 | 4);
  assertEquals(kernelFlags(settingsOf({ nosuid: false, nodev: false })), 0);
  assertEquals(kernelFlags(settingsOf({ readOnly: true, noexec: true, noatime: true })), 1 | 2 | 4 | 8 | 1024);
  assertEquals(kernelData(settingsOf({}), 9, 5, 6), "fd=9,rootmode=40000,user_id=5,group_id=6");
  const all = settingsOf({ allowOther: true, defaultPermissions: true, maxRead: 8192 });
  assertStringIncludes(kernelData(all, 9, 0, 0), "group_id=0,allow_other,default_permissions,max_read=8192");
  assertEquals(kernelType(settingsOf({})), "fuse.fusewire");
  assertEquals(kernelType(settingsOf({ subtype: "" })), "fuse");
});

test("helperOptions: commas and backslashes in names are escaped", () => {
  assertEquals(helperOptions(settingsOf({})), "fsname=fusewire,subtype=fusewire,rw");
  assertEquals(helperOptions(settingsOf({ fsname: "a,b\\,c", subtype: "" })), "fsname=a\\,b\\\\\\,c,rw");
  const all = settingsOf({
    readOnly: true,
    nosuid: false,
    nodev: false,
    noexec: true,
    noatime: true,
    allowOther: true,
    defaultPermissions: true,
    maxRead: 1,
  });
  const expected =
    "fsname=fusewire,subtype=fusewire,ro,suid,dev,noexec,noatime,allow_other,default_permissions,max_read=1";
  assertEquals(helperOptions(all), expected);
});
