/** What this process may do. */
import type { Libc } from "../../ffi/libc.ts";
import { mayMount, pathOf } from "../mount/procfs.ts";
import type { Finding } from "./finding.ts";
import { textOf } from "./look.ts";

/** The user namespace that the kernel began with. Source: `linux/nsfs.h USER_NS_INIT_INO`. */
const INITIAL = "user:[4026531837]";
/** Every user as itself, as in the initial namespace, and hardly anywhere else. Source: `user_namespaces(7)`. */
const IDENTITY = /^0\s+0\s+4294967295$/;

/** Where the capabilities of this process count. */
export function userNamespace(libc: Libc): Finding<"initial" | "nested"> {
  const title = "user namespace";
  const link = pathOf(libc, "ns/user");
  const map = textOf(libc, "/proc/self/uid_map");
  if (typeof link !== "string" && map === undefined) {
    const remedy = "mount procfs at /proc, to see what counts here";
    return { title, state: "unknown", detail: "/proc/self does not tell it", remedy };
  }
  const initial = typeof link === "string" ? link === INITIAL : IDENTITY.test(map!);
  if (initial) return { title, state: "ok", value: "initial", detail: "the initial one" };
  const lines = map === undefined || map === ""
    ? "none"
    : map.split("\n").map((line) => line.trim().replace(/\s+/g, " "));
  return {
    title,
    state: "limited",
    value: "nested",
    detail: `a nested one (uid_map: ${[lines].flat().join(", ")})`,
    remedy: "run it outside of the container or of unshare, for passthrough",
  };
}

/** CAP_SYS_ADMIN. Source: `capabilities(7)`. */
export function sysAdmin(libc: Libc, { value: where }: Finding<"initial" | "nested">): Finding<boolean> {
  const title = "CAP_SYS_ADMIN";
  let value: boolean;
  try {
    value = mayMount(libc);
  } catch (error) {
    const remedy = "mount procfs at /proc";
    return { title, state: "unknown", detail: error instanceof Error ? error.message : String(error), remedy };
  }
  if (!value) {
    const remedy = "run it as root, or docker run --cap-add SYS_ADMIN, for mount(2) and for passthrough";
    return { title, state: "missing", value, detail: "not effective", remedy };
  }
  if (where === "initial") return { title, state: "ok", value, detail: "effective" };
  const remedy = "run it as root in the initial user namespace, for passthrough";
  return { title, state: "limited", value, detail: "effective, though only in a nested user namespace", remedy };
}

/** The mirror keeps so many descriptors, or half of what it may have. */
const ENOUGH = 8192;

/** RLIMIT_NOFILE. Source: `proc_pid_limits(5)`. */
export function descriptors(libc: Libc): Finding<{ readonly soft: number; readonly hard: number }> {
  const title = "open files";
  const found = /^Max open files +(\w+) +(\w+)/m.exec(textOf(libc, "/proc/self/limits") ?? "");
  if (found === null) {
    return { title, state: "unknown", detail: "/proc/self/limits does not tell it", remedy: "mount procfs at /proc" };
  }
  const [soft, hard] = found.slice(1).map((limit) => limit === "unlimited" ? Infinity : Number(limit));
  const value = { soft, hard }, detail = `${soft}, and at most ${hard}`;
  if (soft >= ENOUGH) return { title, state: "ok", value, detail };
  const how = hard >= ENOUGH
    ? `ulimit -n ${ENOUGH}`
    : `as root: ulimit -Hn ${ENOUGH}; or LimitNOFILE=${ENOUGH} in its unit`;
  return { title, state: "limited", value, detail, remedy: `${how}, for servers of many files` };
}
