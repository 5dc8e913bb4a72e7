/** python3 -m compileall: files written beside and renamed into place, and read again by their times. */
import { assertEquals } from "@std/assert";
import { onEach } from "./driver.ts";

onEach("python3 -m compileall: packages are compiled, and imported from what was compiled", {
  needs: ["tool:python3"],
}, async ({ sh }) => {
  const script = `
    from=$(python3 -I -c 'import json, os; print(os.path.dirname(os.path.dirname(json.__file__)))')
    mkdir lib
    for package in json email asyncio unittest xml; do cp -r $from/$package lib/; done
    find lib -name __pycache__ -exec rm -r {} +
    python3 -I -m compileall -q -j 2 lib
    test $(find lib -name '*.py' | wc -l) -eq $(find lib -name '*.pyc' | wc -l)
    find lib -name '*.pyc' -printf '%P %i %T@\\n' | sort > before
    python3 -I -m compileall -q lib
    find lib -name '*.pyc' -printf '%P %i %T@\\n' | sort | diff before -
    python3 -I -v -c '
import os, sys; sys.path.insert(0, "lib")
import json, email.message, asyncio, xml.dom.minidom
print(json.loads("[1, 2]"), os.path.relpath(json.__cached__))
' 2> log | sed 's/cpython-[0-9]*/*/'
    grep -c "wrote" log || true
  `;
  assertEquals(await sh(script), "[1, 2] lib/json/__pycache__/__init__.*.pyc\n0\n");
});
