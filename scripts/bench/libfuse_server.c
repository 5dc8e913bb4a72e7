// The same file system on libfuse 3's low-level interface, single-threaded: libfuse_server MOUNTPOINT [FILE]
// With FILE, `f` has its data: copied as libfuse's own passthrough_ll does.
#define FUSE_USE_VERSION 34
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <string.h>
#include <sys/stat.h>

enum { SIZE = 1 << 20 };
static char data[SIZE];
static int file = -1;
static off_t size = SIZE;

static void attr(fuse_ino_t ino, struct stat *s) {
  memset(s, 0, sizeof *s);
  s->st_ino = ino;
  s->st_mode = ino == 1 ? S_IFDIR | 0755 : S_IFREG | 0644;
  s->st_size = ino == 1 ? 4096 : size;
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
  if (file >= 0) {
    struct fuse_bufvec from = FUSE_BUFVEC_INIT(size);
    from.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
    from.buf[0].fd = file;
    from.buf[0].pos = at;
    fuse_reply_data(r, &from, FUSE_BUF_SPLICE_MOVE);
    return;
  }
  if (at > SIZE) at = SIZE;
  if (size > SIZE - (size_t)at) size = SIZE - at;
  fuse_reply_buf(r, data + at, size);
}
static void write_buf(fuse_req_t r, fuse_ino_t ino, struct fuse_bufvec *from, off_t at, struct fuse_file_info *f) {
  struct fuse_bufvec to = FUSE_BUFVEC_INIT(fuse_buf_size(from));
  to.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
  to.buf[0].fd = file;
  to.buf[0].pos = at;
  ssize_t n = fuse_buf_copy(&to, from, 0);
  if (n < 0) fuse_reply_err(r, -n);
  else fuse_reply_write(r, n);
}
static void init(void *user, struct fuse_conn_info *c) { c->max_write = SIZE; }
static const struct fuse_lowlevel_ops ops = {
  .init = init, .getattr = getattr, .lookup = lookup, .open = open_, .release = done, .flush = done, .read = read_, .write_buf = write_buf,
};

int main(int argc, char **argv) {
  if (argc < 2 || argc > 3) return 2;
  if (argc == 3) {
    struct stat st;
    file = open(argv[2], O_RDWR | O_CLOEXEC);
    if (file < 0 || fstat(file, &st)) return 1;
    size = st.st_size;
  }
  memset(data, 65, sizeof data);
  struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
  fuse_opt_add_arg(&args, "libfuse_server");
  fuse_opt_add_arg(&args, "-oallow_other");
  struct fuse_session *session = fuse_session_new(&args, &ops, sizeof ops, NULL);
  if (!session || fuse_session_mount(session, argv[1])) return 1;
  fuse_session_loop(session);
  fuse_session_unmount(session);
}
