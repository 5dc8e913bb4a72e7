/** The map of all cases. */
import type { Cases } from "./place.ts";
import { attributeCases } from "./cases/attributes.ts";
import { dataCases } from "./cases/data.ts";
import { directoryCases } from "./cases/directories.ts";
import { lockCases } from "./cases/locks.ts";
import { makingCases } from "./cases/making.ts";
import { openCases } from "./cases/open.ts";
import { pathCases } from "./cases/paths.ts";
import { removingCases } from "./cases/removing.ts";
import { renamingCases } from "./cases/renaming.ts";
import { timeCases } from "./cases/times.ts";
import { xattrCases } from "./cases/xattrs.ts";

/** The cases by group. */
export const posixGroups: Readonly<Record<string, Cases>> = {
  paths: pathCases,
  open: openCases,
  making: makingCases,
  removing: removingCases,
  renaming: renamingCases,
  attributes: attributeCases,
  times: timeCases,
  data: dataCases,
  directories: directoryCases,
  locks: lockCases,
  xattrs: xattrCases,
};

/** All cases. */
export const posixCases: Cases = Object.assign({}, ...Object.values(posixGroups));
