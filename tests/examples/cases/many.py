"""A mirror of more files than one would look at. `many.py MOUNT SOURCE`"""

import os
import sys

from cases import case, main, same, sh

MOUNT, SOURCE = sys.argv[1:3]
ROOM = f"{SOURCE}/room"


@case("20,000 files: find and stat tell what they tell of the source")
def _():
    for folder in range(40):
        os.mkdir(f"{ROOM}/{folder}")
        for number in range(500):
            os.close(os.open(f"{ROOM}/{folder}/file-{number}", os.O_CREAT | os.O_WRONLY))
    told = "find . -type f -print0 | xargs -0 stat -c '%i %h %a %s %Y %n' | sort"
    here, own = sh(told), sh(told, cwd=ROOM)
    same([here.count("\n"), here == own], [20_000, True])
    sh("find . -type f -name '*7' -delete")
    same(sh("find . | sort"), sh("find . | sort", cwd=ROOM))
    sh("rm -rf [0-9]*")
    same(os.listdir(ROOM), [])


if __name__ == "__main__":
    main(MOUNT)
