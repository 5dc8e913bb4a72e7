// What a strict compiler is to accept of a user: each entry point, as values and as types.
import { type Attr, type Filesystem, FuseError, mount, ROOT_ID, type Session } from "@fusewire/fusewire";
import { diagnose, type Diagnosis, formatDiagnosis } from "@fusewire/fusewire/doctor";
import { memory, type Mirror, mirror } from "@fusewire/fusewire/kit";
import { type Backing, type Extent, extents } from "@fusewire/fusewire/passthrough";

const directory: Attr = { mode: 0o040755, nlink: 2 };

export const empty: Filesystem = {
  lookup: ({ name }, { signal, uid }) => {
    if (signal.aborted || uid !== 0) throw new FuseError("EACCES");
    return name === "self" ? { nodeid: ROOT_ID, attr: directory } : null;
  },
  getattr: () => Promise.resolve({ attr: directory }),
};

export async function use(path: string, pieces: readonly Extent[]): Promise<[string, string | null]> {
  const fs: Mirror = mirror(path, { passthrough: false });
  let backing: Backing | undefined;
  const session: Session = await mount({
    ...fs,
    init: ({ passthrough }) => {
      backing = passthrough.register(extents(pieces));
    },
  }, "/mnt");
  const result = await session.unmount({ timeout: 0 });
  fs[Symbol.dispose]();
  const diagnosis: Diagnosis = await diagnose();
  console.log(formatDiagnosis(diagnosis), memory({ maxBytes: 1 << 20 }));
  return [result, backing?.reason ?? null];
}

// @ts-expect-error: An attribute without its mode is none.
export const wrong: Attr = { nlink: 2 };
