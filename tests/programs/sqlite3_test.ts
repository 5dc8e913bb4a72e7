/** sqlite3: locks of ranges, and a write-ahead log whose index is shared memory of two processes. */
import { assertEquals } from "@std/assert";
import { onEach } from "./driver.ts";

onEach("sqlite3: two processes write through a WAL, and the database is whole", {
  needs: ["tool:sqlite3"],
  native: "disk",
}, async ({ sh }) => {
  const script = `
    sqlite3 -batch db "pragma journal_mode=wal; create table t(writer, number, text); create index i on t(number);" \\
      > /dev/null
    add() {
      echo ".timeout 60000"
      echo "pragma synchronous=normal;"
      for n in $(seq 300); do
        echo "begin immediate; insert into t values('$1', $n, printf('%.*c', $n, 'x')); commit;"
      done
    }
    add a | sqlite3 -bail -batch db &
    add b | sqlite3 -bail -batch db
    wait $!
    sqlite3 -batch db "
      pragma integrity_check;
      select writer, count(*), sum(length(text)) from t group by 1;
      pragma wal_checkpoint(truncate);
    "
    stat -c %s db-wal 2> /dev/null || true
    sqlite3 -batch db "delete from t where number > 50; vacuum; pragma journal_mode=delete; pragma integrity_check;"
    ls
  `;
  assertEquals(await sh(script), "ok\na|300|45150\nb|300|45150\n0|0|0\ndelete\nok\ndb\n");
});
