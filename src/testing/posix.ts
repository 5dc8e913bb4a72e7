/** The map of all cases. */
import type { Cases } from "./place.ts";
import { aclCases } from "./cases/acls.ts";
import { allocatingCases } from "./cases/allocating.ts";
import { argumentCases } from "./cases/arguments.ts";
import { attributeCases } from "./cases/attributes.ts";
import { copyingCases } from "./cases/copying.ts";
import { dataCases } from "./cases/data.ts";
import { descriptorCases } from "./cases/descriptors.ts";
import { directoryCases } from "./cases/directories.ts";
import { inodeFlagCases } from "./cases/inode_flags.ts";
import { lockCases } from "./cases/locks.ts";
import { makingCases } from "./cases/making.ts";
import { mappingCases } from "./cases/mapping.ts";
import { openCases } from "./cases/open.ts";
import { pathCases } from "./cases/paths.ts";
import { removingCases } from "./cases/removing.ts";
import { renamingCases } from "./cases/renaming.ts";
import { spaceCases } from "./cases/space.ts";
import { timeCases } from "./cases/times.ts";
import { xattrCases } from "./cases/xattrs.ts";

/** The cases by group. */
export const posixGroups: Readonly<Record<string, Cases>> = {
  paths: pathCases,
  arguments: argumentCases,
  open: openCases,
  descriptors: descriptorCases,
  making: makingCases,
  removing: removingCases,
  renaming: renamingCases,
  attributes: attributeCases,
  "inode flags": inodeFlagCases,
  times: timeCases,
  data: dataCases,
  allocating: allocatingCases,
  copying: copyingCases,
  mapping: mappingCases,
  space: spaceCases,
  directories: directoryCases,
  locks: lockCases,
  xattrs: xattrCases,
  acls: aclCases,
};

/** All cases. */
export const posixCases: Cases = Object.assign({}, ...Object.values(posixGroups));
