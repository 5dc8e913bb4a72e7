/** What the machine says of hard links. */
import { readFileSync } from "node:fs";

/** Whether it protects them (`fs.protected_hardlinks`); also where only root may know. Source: `proc_sys_fs(5)`. */
export function protectsHardlinks(): boolean {
  try {
    return readFileSync("/proc/sys/fs/protected_hardlinks", "latin1").trim() !== "0";
  } catch {
    return true;
  }
}
