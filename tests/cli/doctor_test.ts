/** `fusewire doctor`: the findings, and whether one can mount. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { test } from "../support/harness.ts";
import { cliPlace, options, type Who } from "./place.ts";

test("doctor: a finding is a line, its fields with tabs between, the same as in JSON", options, async () => {
  await using place = await cliPlace();
  for (const who of ["root", "user"] as Who[]) {
    const { code, stdout, stderr } = await place.fusewire(["doctor", "/tmp"], who);
    assertEquals([code, stderr], [0, ""]);
    const rows = stdout.replace(/\n$/, "").split("\n").map((line) => line.split("\t"));
    const told = JSON.parse((await place.fusewire(["doctor", "--json", "/tmp"], who)).stdout);
    assertEquals(Object.keys(told).includes("findings"), false);
    assertEquals(told.mounting.value, who === "root" ? "mount(2)" : "fusermount3");
    const findings = Object.values(told) as { state: string; title: string; remedy?: string }[];
    assertEquals(
      rows.map(([state, title, , remedy]) => [state, title, remedy]),
      findings.map(({ state, title, remedy = "" }) => [state, title, remedy]),
    );
    assert(rows.every((row) => row.length === 4 && /^(ok|limited|missing|unknown)$/.test(row[0])), stdout);
    assertMatch(stdout, /\tbacking files\t"\/tmp" /);
  }
});

test("doctor: ends with 1 where one cannot mount", options, async () => {
  await using place = await cliPlace();
  await place.sh("mount --bind /dev/null /dev/fuse");
  const { code, stdout } = await place.fusewire(["doctor"]);
  assertEquals(code, 1);
  assertMatch(stdout, /^missing\tmounting\t/m);
});
