import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { run, test, until } from "./harness.ts";

test("run: the status and both outputs, of words and of a line", async () => {
  assertEquals(await run(["echo", "a  b", "$HOME"]), { code: 0, stdout: "a  b $HOME\n", stderr: "" });
  assertEquals(await run("echo é; echo err >&2; exit 3"), { code: 3, stdout: "é\n", stderr: "err\n" });
});

test("run: a signal's status is 128 + n", async () => {
  assertEquals((await run("kill -TERM $$")).code, 143);
});

test("run: environment, folder and input", async () => {
  const { stdout } = await run(`echo "$A $PWD"; cat`, { env: { A: "x" }, cwd: "/", input: "in" });
  assertEquals(stdout, "x /\nin");
  // More than a pipe holds, to one that does not read it.
  assertEquals((await run("exit 0", { input: "x".repeat(1 << 20) })).code, 0);
  assertEquals((await run("cat", { input: "x".repeat(1 << 20) })).stdout.length, 1 << 20);
});

test(
  "run: after the deadline all of it is killed, and the error has its output",
  { needs: ["tool:pgrep"] },
  async () => {
    const command = "echo before; echo $$ >&2; sleep 60 & sleep 60";
    const { message } = await assertRejects(() => run(command, { timeout: 3000 }), Error, "not ended after 3000 ms");
    assertStringIncludes(message, "before\n");
    const group = /^\d+$/m.exec(message)![0];
    await until(
      async () => (await run(["pgrep", "--runstates", "R,S,D", "-g", group])).stdout === "",
      "all have ended",
    );
  },
);

test("run: a program that cannot be started is an error that names it", async () => {
  await assertRejects(() => run(["/no/such/program", "x"]), Error, "/no/such/program x: ");
});

test("run: another user, with no groups of root", { needs: ["root"] }, async () => {
  const { stdout } = await run("id -u; id -g; id -G", { uid: 1234, cwd: "/" });
  assertEquals(stdout, "1234\n1234\n1234\n");
  assertEquals((await run("id -g", { uid: 1234, gid: 77, cwd: "/" })).stdout, "77\n");
});
