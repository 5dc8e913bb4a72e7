/** bonnie++: a file larger than its buffers, then thousands of files made, read and removed. */
import { assertMatch } from "@std/assert";
import { onEach } from "./driver.ts";

onEach(
  "bonnie++: one large file, and 1,024 small ones",
  { needs: ["tool:bonnie++"], native: "disk" },
  async ({ sh }) => {
    // Without what goes byte by byte. Megabytes of the file and of the memory that it is told of; files in 1,024; their
    // largest and smallest size.
    const line = await sh("bonnie++ -q -f -d . -u root -s 32 -r 16 -n 1:4096:0:8 2> $OUTSIDE/log; ls");
    assertMatch(line, /^[\d.]+,.*\n$/);
  },
);
