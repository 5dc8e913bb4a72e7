// A bare read/write loop on /dev/fuse, close to what the round trip through the kernel costs: raw_server MOUNTPOINT [FILE]
// One file `f` of 1 MiB, zero timeouts. With FILE, the kernel passes the data of `f` through to it.
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

// Of headers newer than Debian 12's.
struct backing_map { int32_t fd; uint32_t flags; uint64_t padding; };
#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)
enum { PASSTHROUGH_2 = 1 << 5, OPEN_PASSTHROUGH = 1 << 7 };

enum { SIZE = 1 << 20 };
static uint32_t request[SIZE / 4 + 1024];
static char data[SIZE];
static int file = -1;
static uint64_t bytes = SIZE;
static struct { struct fuse_out_header header; char body[256]; } reply;

static void attr(struct fuse_attr *a, uint64_t ino) {
  a->ino = ino;
  a->size = ino == 1 ? 4096 : bytes;
  a->mode = ino == 1 ? S_IFDIR | 0755 : S_IFREG | 0644;
  a->nlink = 1;
  a->blksize = 4096;
}

int main(int argc, char **argv) {
  if (argc < 2 || argc > 3) return 2;
  int32_t id = 0;
  unsigned opens = 0;
  int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  char options[100];
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
  if (fd < 0 || mount("raw", argv[1], "fuse.raw", 0, options)) {
    perror("mount");
    return 1;
  }
  if (argc == 3) {
    struct stat st;
    file = open(argv[2], O_RDWR | O_CLOEXEC);
    if (file < 0 || fstat(file, &st)) return 1;
    bytes = st.st_size;
  }
  memset(data, 65, sizeof data);
  for (;;) {
    ssize_t n = read(fd, request, sizeof request);
    if (n < 0) {
      if (errno == EINTR || errno == ENOENT) continue;
      return errno == ENODEV ? 0 : 1;
    }
    const struct fuse_in_header *in = (void *)request;
    const void *args = in + 1;
    int error = 0, size = 0;
    memset(reply.body, 0, sizeof reply.body);
    switch (in->opcode) {
      case FUSE_INIT: {
        struct fuse_init_out *o = (void *)reply.body;
        o->major = 7;
        o->minor = 38;
        o->max_readahead = 131072;
        o->flags = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_ASYNC_DIO | FUSE_MAX_PAGES;
        o->max_background = 16;
        o->congestion_threshold = 12;
        o->max_write = SIZE;
        o->time_gran = 1;
        o->max_pages = 256;
        if (file >= 0) {
          o->minor = 40;
          // Without the second of these each write would ask for an extended attribute first.
          o->flags |= FUSE_INIT_EXT | FUSE_HANDLE_KILLPRIV_V2;
          o->flags2 = PASSTHROUGH_2;
          o->unused[0] = 1;
        }
        size = sizeof *o;
        break;
      }
      case FUSE_LOOKUP:
        if (strcmp(args, "f")) error = ENOENT;
        else {
          struct fuse_entry_out *o = (void *)reply.body;
          o->nodeid = 2;
          attr(&o->attr, 2);
          size = sizeof *o;
        }
        break;
      case FUSE_GETATTR:
        attr(&((struct fuse_attr_out *)reply.body)->attr, in->nodeid);
        size = sizeof(struct fuse_attr_out);
        break;
      case FUSE_OPEN:
        if (file >= 0) {
          if (opens++ == 0) {
            struct backing_map map = {.fd = file};
            id = ioctl(fd, BACKING_OPEN, &map);
          }
          struct fuse_open_out *o = (void *)reply.body;
          o->open_flags = OPEN_PASSTHROUGH;
          ((int32_t *)o)[3] = id;
        }
        size = sizeof(struct fuse_open_out);
        break;
      case FUSE_OPENDIR:
        size = sizeof(struct fuse_open_out);
        break;
      case FUSE_READ: {
        const struct fuse_read_in *a = args;
        uint64_t at = a->offset < SIZE ? a->offset : SIZE, left = SIZE - at, length = a->size < left ? a->size : left;
        reply.header = (struct fuse_out_header){.len = sizeof reply.header + length, .unique = in->unique};
        struct iovec parts[2] = {{&reply.header, sizeof reply.header}, {data + at, length}};
        if (writev(fd, parts, 2) < 0 && errno != ENOENT) return 1;
        continue;
      }
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
      case FUSE_INTERRUPT:
        continue;
      case FUSE_RELEASE:
        if (file >= 0 && --opens == 0) ioctl(fd, BACKING_CLOSE, &id);
        break;
      case FUSE_FLUSH:
      case FUSE_RELEASEDIR:
      case FUSE_ACCESS:
        break;
      case FUSE_STATFS:
        size = sizeof(struct fuse_statfs_out);
        break;
      default:
        error = ENOSYS;
    }
    reply.header = (struct fuse_out_header){.len = sizeof reply.header + size, .error = -error, .unique = in->unique};
    if (write(fd, &reply, reply.header.len) < 0 && errno != ENOENT) return 1;
  }
}
