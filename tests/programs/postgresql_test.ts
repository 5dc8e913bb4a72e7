/** PostgreSQL: initdb and pgbench as its own user, and the recovery after its end was immediate. */
import { assertEquals } from "@std/assert";
import { readdirSync } from "node:fs";
import process from "node:process";
import { onEach } from "./driver.ts";

/** Where Debian has the server's programs, which are in nobody's PATH. */
function folder(): string {
  const versions = "/usr/lib/postgresql";
  try {
    const newest = readdirSync(versions).sort((a, b) => Number(a) - Number(b)).at(-1);
    return `${versions}/${newest}/bin`;
  } catch {
    return versions;
  }
}

process.env.PATH += `:${folder()}`;
const needs = ["tool:runuser", "tool:initdb", "tool:pg_ctl", "tool:pgbench", "tool:psql"] as const;

onEach(
  "PostgreSQL: initdb, pgbench, and all is there after an immediate stop",
  { needs, native: "disk" },
  async ({ sh }) => {
    const script = `
    install -d -o postgres -m 700 data sockets $OUTSIDE/log
    trap 'pg stop -m immediate > /dev/null 2>&1 || true' EXIT
    as() { runuser -u postgres -- "$@"; }
    pg() { as pg_ctl -D data -w -s -l $OUTSIDE/log/log -o "-k $PWD/sockets -h '' -F" "$@"; }
    sql() { as psql -h $PWD/sockets -qAt postgres "\${@/#/-c}"; }
    as initdb -D data -A trust --no-sync -E UTF8 --locale=C.UTF-8 > /dev/null
    pg start
    as pgbench -h $PWD/sockets -i -q -s 1 postgres 2> /dev/null
    as pgbench -h $PWD/sockets -n -c 4 -j 2 -t 100 postgres | grep -E 'actually processed|failed trans'
    sums="select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history),
      (select count(*) from pgbench_history), (select count(*) from pgbench_accounts)"
    sql "$sums"
    pg stop -m immediate
    pg start
    sql "$sums"
    sql "vacuum full pgbench_accounts" checkpoint "create extension amcheck"
    sql "select count(bt_index_check(oid)) from pg_class where relname = 'pgbench_accounts_pkey'"
    pg stop -m fast
    as pg_controldata data | grep 'cluster state' | tr -s ' '
  `;
    assertEquals(
      await sh(script),
      "number of transactions actually processed: 400/400\nnumber of failed transactions: 0 (0.000%)\n" +
        "t|400|100000\nt|400|100000\n1\nDatabase cluster state: shut down\n",
    );
  },
);
