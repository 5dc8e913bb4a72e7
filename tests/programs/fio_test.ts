/** fio: random writes, each block with a checksum, read back and verified; cached, O_DIRECT, mapped. */
import { assertEquals } from "@std/assert";
import { onEach } from "./driver.ts";

const OPTIONS = [
  "--size=8M",
  "--rw=randwrite",
  "--bsrange=4k-64k",
  "--verify=crc32c",
  "--verify_fatal=1",
  "--do_verify=1",
  "--randseed=1",
  "--output-format=terse",
  "--terse-version=3",
];

const MODES: Readonly<Record<string, readonly string[]>> = {
  "written at random": ["--ioengine=psync"],
  "with O_DIRECT": ["--ioengine=psync", "--direct=1"],
  "with O_DIRECT, several at once": ["--ioengine=libaio", "--direct=1", "--iodepth=8"],
  "mapped": ["--ioengine=mmap"],
  "by two writers of one file": ["--ioengine=psync", "--numjobs=2", "--offset_increment=8M", "--filename=shared"],
};

onEach("fio: what is written is what is read", { needs: ["tool:fio"], native: "disk" }, async ({ sh }) => {
  for (const [name, mode] of Object.entries(MODES)) {
    // What is not a remark begins with the version of the format; field 5 is the error number.
    const errors = await sh(`fio --name='${name}' ${[...OPTIONS, ...mode].join(" ")} | grep '^3;' | cut -d ';' -f 3,5`);
    assertEquals(new Set(errors.trim().split("\n")), new Set([`${name};0`]));
  }
});
