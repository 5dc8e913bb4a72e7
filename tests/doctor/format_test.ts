import { assertStrictEquals } from "@std/assert";
import type { Diagnosis, Finding } from "../../doctor.ts";
import { formatDiagnosis } from "../../src/doctor/format.ts";
import { test } from "../support/harness.ts";

test("formatDiagnosis: aligned, with the remedy below", () => {
  const findings: Finding[] = [
    { title: "kernel", state: "ok", value: {}, detail: "Linux 6.18" },
    { title: "mounting", state: "missing", detail: "EPERM", remedy: "be root" },
    { title: "x", state: "limited", value: 0, detail: "0", remedy: "more" },
  ];
  assertStrictEquals(
    formatDiagnosis({ findings } as unknown as Diagnosis),
    [
      "ok       kernel    Linux 6.18",
      "missing  mounting  EPERM",
      "                   -> be root",
      "limited  x         0",
      "                   -> more",
    ].join("\n"),
  );
});
