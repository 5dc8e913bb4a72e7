/** gcc and make: times that tell what is out of date, libraries, programs that are run where they were made. */
import { assertEquals } from "@std/assert";
import { onEach } from "./driver.ts";

onEach("gcc and make: a C project is built, run, and built again where it changed", {
  needs: ["tool:gcc", "tool:make", "tool:ar"],
}, async ({ sh }) => {
  const script = `
    mkdir -p src include
    for i in $(seq 12); do
      echo "int f$i(void);" > include/f$i.h
      printf '#include "f%d.h"\\n#include <stdio.h>\\nint f%d(void) { return %d; }\\n' $i $i $i > src/f$i.c
    done
    {
      echo '#include <stdio.h>'
      for i in $(seq 12); do echo "#include \\"f$i.h\\""; done
      echo "int main(void) { return printf(\\"%d\\\\n\\", $(seq -f 'f%g()' -s ' + ' 12)) < 0; }"
    } > src/main.c
    cat > Makefile <<'MAKE'
CFLAGS = -g -O1 -Wall -Werror -Iinclude -MMD
PARTS = $(filter-out main.o,$(notdir $(patsubst %.c,%.o,$(wildcard src/*.c))))
vpath %.c src
sum: main.o libparts.a libshared.so
	$(CC) -o $@ main.o libparts.a
libparts.a: $(PARTS)
	$(AR) rcs $@ $^
libshared.so: src/f1.c
	$(CC) -Iinclude -shared -fPIC -o $@ $^
-include $(wildcard *.d)
MAKE
    make -s -j2
    ./sum
    make -q
    sleep 0.02
    sed -i 's/return 12/return 100/' src/f12.c
    make -s -j2 --debug=basic | grep -c 'Must remake'
    ./sum
    gcc -pg -Iinclude -o profiled src/*.c && ./profiled && test -s gmon.out
    strip sum && ./sum
    make -q
  `;
  assertEquals(await sh(script), "78\n3\n166\n166\n166\n");
});
