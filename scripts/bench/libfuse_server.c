// The same file system on libfuse 3's low-level interface, single-threaded: libfuse_server MOUNTPOINT
#define FUSE_USE_VERSION 34
#include <errno.h>
#include <fuse3/fuse_lowlevel.h>
#include <string.h>
#include <sys/stat.h>

enum { SIZE = 1 << 20 };
static char data[SIZE];

static void attr(fuse_ino_t ino, struct stat *s) {
  memset(s, 0, sizeof *s);
  s->st_ino = ino;
  s->st_mode = ino == 1 ? S_IFDIR | 0755 : S_IFREG | 0644;
  s->st_size = ino == 1 ? 4096 : SIZE;
  s->st_nlink = 1;
  s->st_blksize = 4096;
}
static void getattr(fuse_req_t r, fuse_ino_t ino, struct fuse_file_info *f) {
  struct stat s;
  attr(ino, &s);
  fuse_reply_attr(r, &s, 0);
}
static void lookup(fuse_req_t r, fuse_ino_t parent, const char *name) {
  struct fuse_entry_param e = {.ino = 2};
  if (strcmp(name, "f")) {
    fuse_reply_err(r, ENOENT);
    return;
  }
  attr(2, &e.attr);
  fuse_reply_entry(r, &e);
}
static void open_(fuse_req_t r, fuse_ino_t ino, struct fuse_file_info *f) { fuse_reply_open(r, f); }
static void done(fuse_req_t r, fuse_ino_t ino, struct fuse_file_info *f) { fuse_reply_err(r, 0); }
static void read_(fuse_req_t r, fuse_ino_t ino, size_t size, off_t at, struct fuse_file_info *f) {
  if (at > SIZE) at = SIZE;
  if (size > SIZE - (size_t)at) size = SIZE - at;
  fuse_reply_buf(r, data + at, size);
}
static void init(void *user, struct fuse_conn_info *c) { c->max_write = SIZE; }
static const struct fuse_lowlevel_ops ops = {
  .init = init, .getattr = getattr, .lookup = lookup, .open = open_, .release = done, .flush = done, .read = read_,
};

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  memset(data, 65, sizeof data);
  struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
  fuse_opt_add_arg(&args, "libfuse_server");
  fuse_opt_add_arg(&args, "-oallow_other");
  struct fuse_session *session = fuse_session_new(&args, &ops, sizeof ops, NULL);
  if (!session || fuse_session_mount(session, argv[1])) return 1;
  fuse_session_loop(session);
  fuse_session_unmount(session);
}
