/*
 * Sleeps in the calling thread before each call on a regular file below a folder: a disk whose calls are slow, for one program
 * and at no cost in CPU. To be preloaded (LD_PRELOAD), with SLOW_FILES_BELOW (an absolute path without links) and SLOW_FILES_US.
 *
 * A file counts from the open that may create it (O_CREAT) to its close; sockets, pipes, directories and what lies elsewhere
 * are passed on at once. Its path is known only once it is open, so the sleep of an open comes after it.
 * libuv closes through syscall(2), and looks at files through statx.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define DESCRIPTORS 65536

static struct timespec delay;
static char folder[4096];
static size_t folder_length;
static unsigned char slow[DESCRIPTORS];

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  return found;
}
/* Looked up once for each function. */
#define NEXT(name)                                            \
  static __typeof__(&name) next;                              \
  if (__atomic_load_n(&next, __ATOMIC_RELAXED) == NULL)       \
    __atomic_store_n(&next, REAL(name), __ATOMIC_RELAXED)

__attribute__((constructor)) static void begin(void) {
  const char *below = getenv("SLOW_FILES_BELOW");
  const char *microseconds = getenv("SLOW_FILES_US");
  if (below == NULL || microseconds == NULL) return;
  folder_length = (size_t)snprintf(folder, sizeof folder, "%s/", below);
  delay.tv_sec = atol(microseconds) / 1000000;
  delay.tv_nsec = atol(microseconds) % 1000000 * 1000;
  prctl(PR_SET_TIMERSLACK, 1UL); /* otherwise every sleep is 50 us longer; threads inherit it */
}

static void wait_for(int descriptor) {
  if (descriptor < 0 || descriptor >= DESCRIPTORS || !slow[descriptor]) return;
  nanosleep(&delay, NULL);
}

static int opened(int descriptor, int flags) {
  char link[64], path[4096];
  struct stat status;
  if (descriptor < 0 || descriptor >= DESCRIPTORS) return descriptor;
  slow[descriptor] = 0; /* a number closed by a way that is not ours */
  if (!(flags & O_CREAT) || folder_length == 0) return descriptor;
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path);
  if (length < (ssize_t)folder_length || memcmp(path, folder, folder_length) != 0) return descriptor;
  if (syscall(SYS_fstat, descriptor, &status) != 0 || !S_ISREG(status.st_mode)) return descriptor;
  slow[descriptor] = 1;
  wait_for(descriptor);
  return descriptor;
}

/* The number is free for others as soon as it is closed. */
static void closing(int descriptor) {
  wait_for(descriptor);
  if (descriptor >= 0 && descriptor < DESCRIPTORS) slow[descriptor] = 0;
}

#define MODE(flags)                        \
  mode_t mode = 0;                         \
  if ((flags) & (O_CREAT | __O_TMPFILE)) { \
    va_list rest;                          \
    va_start(rest, flags);                 \
    mode = va_arg(rest, mode_t);           \
    va_end(rest);                          \
  }
#define OPEN(name)                              \
  int name(const char *path, int flags, ...) {  \
    NEXT(name);                                 \
    MODE(flags)                                 \
    return opened(next(path, flags, mode), flags); \
  }
#define OPEN_AT(name)                                        \
  int name(int directory, const char *path, int flags, ...) { \
    NEXT(name);                                              \
    MODE(flags)                                              \
    return opened(next(directory, path, flags, mode), flags); \
  }
OPEN(open)
OPEN(open64)
OPEN_AT(openat)
OPEN_AT(openat64)

#define CALL(type, name, parameters, ...) \
  type name parameters {                  \
    NEXT(name);                           \
    wait_for(descriptor);                 \
    return next(descriptor __VA_OPT__(, ) __VA_ARGS__); \
  }
CALL(ssize_t, write, (int descriptor, const void *bytes, size_t count), bytes, count)
CALL(ssize_t, pwrite, (int descriptor, const void *bytes, size_t count, off_t at), bytes, count, at)
CALL(ssize_t, pwrite64, (int descriptor, const void *bytes, size_t count, off64_t at), bytes, count, at)
CALL(ssize_t, writev, (int descriptor, const struct iovec *parts, int count), parts, count)
CALL(ssize_t, pwritev, (int descriptor, const struct iovec *parts, int count, off_t at), parts, count, at)
CALL(ssize_t, pwritev64, (int descriptor, const struct iovec *parts, int count, off64_t at), parts, count, at)
CALL(int, fsync, (int descriptor))
CALL(int, fdatasync, (int descriptor))
CALL(int, ftruncate, (int descriptor, off_t length), length)
CALL(int, ftruncate64, (int descriptor, off64_t length), length)
CALL(int, fchmod, (int descriptor, mode_t mode), mode)
CALL(int, fchown, (int descriptor, uid_t owner, gid_t group), owner, group)
CALL(int, futimens, (int descriptor, const struct timespec times[2]), times)
CALL(int, utimensat, (int descriptor, const char *path, const struct timespec times[2], int flags), path, times, flags)
CALL(int, statx, (int descriptor, const char *path, int flags, unsigned mask, struct statx *status), path, flags, mask, status)

int close(int descriptor) {
  NEXT(close);
  closing(descriptor);
  return next(descriptor);
}

long syscall(long number, ...) {
  NEXT(syscall);
  long a[6];
  va_list rest;
  va_start(rest, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(rest, long);
  va_end(rest);
  if (number == SYS_close) closing((int)a[0]);
  return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
