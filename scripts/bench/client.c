// One thread that does one thing to one file for some seconds: client FILE OPERATION SECONDS
// OPERATION: stat; open (and close); read4k, read128k, read1m, write4k, write128k, write1m (with O_DIRECT, at random
// multiples of the size); cachedread4k, cachedread128k, cachedread1m, cachedwrite4k, cachedwrite128k, cachedwrite1m
// (through the page cache); load1m, store1m (a mapping of 1 MiB is made, each of its pages touched, and unmade).
// Prints microseconds an operation.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const struct op { const char *name; size_t size; int flags; } ops[] = {
  {"stat", 0, 0}, {"open", 0, 0},
  {"read4k", 4096, O_RDONLY | O_DIRECT}, {"read128k", 131072, O_RDONLY | O_DIRECT}, {"read1m", 1048576, O_RDONLY | O_DIRECT},
  {"cachedread4k", 4096, O_RDONLY}, {"cachedread128k", 131072, O_RDONLY}, {"cachedread1m", 1048576, O_RDONLY},
  {"cachedwrite4k", 4096, O_WRONLY}, {"cachedwrite128k", 131072, O_WRONLY}, {"cachedwrite1m", 1048576, O_WRONLY},
  {"write4k", 4096, O_WRONLY | O_DIRECT}, {"write128k", 131072, O_WRONLY | O_DIRECT}, {"write1m", 1048576, O_WRONLY | O_DIRECT},
  {"load1m", 1048576, O_RDWR}, {"store1m", 1048576, O_RDWR},
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static void fail(const char *call) {
  perror(call);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  const struct op *op = ops;
  while (op < ops + sizeof ops / sizeof *ops && strcmp(op->name, argv[2])) op++;
  if (op == ops + sizeof ops / sizeof *ops) return 2;
  const char *file = argv[1];
  double seconds = atof(argv[3]), start, spent;
  struct stat st;
  if (stat(file, &st)) fail("stat");
  void *data = NULL;
  int fd = -1;
  size_t blocks = 1;
  if (op->size) {
    if (posix_memalign(&data, 4096, op->size)) fail("posix_memalign");
    memset(data, 65, op->size);
    fd = open(file, op->flags);
    if (fd < 0) fail("open");
    blocks = st.st_size / op->size;
  }
  unsigned random = 1;
  long n = 0;
  start = now();
  do {
    for (int i = 0; i < 50; i++, n++) {
      if (op == ops) {
        if (stat(file, &st)) fail("stat");
        continue;
      }
      if (op == ops + 1) {
        int one = open(file, O_RDONLY);
        if (one < 0) fail("open");
        close(one);
        continue;
      }
      random = random * 1664525 + 1013904223;
      off_t at = (off_t)((random >> 8) % blocks) * op->size;
      if (op->flags & O_RDWR) {
        volatile char *map = mmap(NULL, op->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);
        if (map == MAP_FAILED) fail("mmap");
        for (size_t page = 0; page < op->size; page += 4096) {
          if (*op->name == 'l') (void)map[page];
          else map[page] = 65;
        }
        munmap((void *)map, op->size);
        continue;
      }
      ssize_t moved = op->flags & O_WRONLY ? pwrite(fd, data, op->size, at) : pread(fd, data, op->size, at);
      if (moved != (ssize_t)op->size) fail("transfer");
    }
  } while ((spent = now() - start) < seconds);
  printf("%.3f\n", spent / n * 1e6);
}
