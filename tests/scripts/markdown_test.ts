/** What generated documents are made of. */
import { assertEquals, assertThrows } from "@std/assert";
import { replaced, table, wrapped } from "../../scripts/markdown.ts";

Deno.test("table: columns are as wide as what is in them, at least three, and numbers stand right", () => {
  assertEquals(table(["a", "long"], [["x|y", "1"]]), "| a    | long |\n| ---- | ---- |\n| x\\|y | 1    |");
  assertEquals(
    table(["", "n"], [["one", "1"], ["eleven", "11"]], 1),
    "|        |   n |\n| ------ | --: |\n| one    |   1 |\n| eleven |  11 |",
  );
});

Deno.test("wrapped: lines have 120 columns at most, and those of an item are indented", () => {
  const word = "x".repeat(59);
  assertEquals(wrapped(`${word} ${word}x y`), `${word} ${word}x\ny`);
  assertEquals(wrapped(`${word} ${word}x`, "- "), `- ${word}\n  ${word}x`);
  assertEquals(wrapped("y".repeat(130)), "y".repeat(130));
});

Deno.test("replaced: only what is between the markers changes", () => {
  const document = "# a\n\n<!-- x -->\nold\n<!-- /x -->\n\nb\n";
  const now = replaced(document, "x", "new");
  assertEquals(now, "# a\n\n<!-- x -->\n\nnew\n\n<!-- /x -->\n\nb\n");
  assertEquals(replaced(now, "x", "new"), now);
  for (const broken of ["", "<!-- x -->", "<!-- /x --><!-- x -->", "<!-- y --><!-- /y -->"]) {
    assertThrows(() => replaced(broken, "x", ""), Error, "the markers <!-- x --> and <!-- /x --> are not there");
  }
});
