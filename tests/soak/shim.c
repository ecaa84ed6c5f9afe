/*
 * Preloaded into a process of the campaign. The file named by SOAK_SHIM is its control, shared with who steers:
 *
 *     at  bytes  what
 *     0   8      added to the time of day, nanoseconds
 *     8   8      call to die at: 0 none, 1 pwrite, 2 ftruncate, 3 fcntl, 4 fsync or fdatasync, 5 any of them
 *     16  8      calls until then; at 0 the process is killed before the call, a pwrite after half of it
 *     24  8      calls that fail: bits 0 pwrite and write, 1 ftruncate, 2 fsync and fdatasync, 3 open, 4 pread and read
 *     32  8      errno of the failure
 *     40  8      of a million calls so many fail
 *     48  8      how many failed
 *     56  200    only calls on files whose path holds this text fail
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct control {
  volatile int64_t offset, deadly, left, failing, error, share, failed;
  char part[200];
};

static struct control none, *control = &none;
static __thread uint64_t state;

enum { PWRITE = 1, FTRUNCATE, FCNTL, FSYNC };
enum { FAIL_WRITE = 1, FAIL_TRUNCATE = 2, FAIL_SYNC = 4, FAIL_OPEN = 8, FAIL_READ = 16 };

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (real == NULL) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("SOAK_SHIM");
  if (path == NULL) return;
  REAL(int, "open64", const char *, int, ...);
  int fd = real(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *at = mmap(NULL, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at != MAP_FAILED) control = at;
  close(fd);
}

static int dies(int call) {
  int64_t deadly = control->deadly;
  if (deadly == 0 || (deadly != 5 && deadly != call)) return 0;
  return __sync_sub_and_fetch(&control->left, 1) == 0;
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

static int fails_on(int bit, const char *path) {
  if (path == NULL || strstr(path, control->part) == NULL) return 0;
  if (state == 0) state = (uint64_t)time(NULL) * 2654435761u ^ (uint64_t)(uintptr_t)&state;
  state = state * 6364136223846793005u + 1442695040888963407u;
  if ((int64_t)((state >> 33) % 1000000) >= control->share) return 0;
  __sync_add_and_fetch(&control->failed, 1);
  errno = (int)control->error;
  return 1;
}

static int fails(int bit, int fd) {
  if ((control->failing & bit) == 0) return 0;
  char link[40], path[512];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return fails_on(bit, path);
}

#define PWRITE_AS(name, offset_type) \
  ssize_t name(int fd, const void *bytes, size_t count, offset_type at) { \
    REAL(ssize_t, #name, int, const void *, size_t, offset_type); \
    if (dies(PWRITE)) { \
      real(fd, bytes, count / 2, at); \
      die(); \
    } \
    if (fails(FAIL_WRITE, fd)) return -1; \
    return real(fd, bytes, count, at); \
  }
PWRITE_AS(pwrite, off_t)
PWRITE_AS(pwrite64, off64_t)

ssize_t write(int fd, const void *bytes, size_t count) {
  REAL(ssize_t, "write", int, const void *, size_t);
  if (fails(FAIL_WRITE, fd)) return -1;
  return real(fd, bytes, count);
}

#define PREAD_AS(name, offset_type) \
  ssize_t name(int fd, void *bytes, size_t count, offset_type at) { \
    REAL(ssize_t, #name, int, void *, size_t, offset_type); \
    if (fails(FAIL_READ, fd)) return -1; \
    return real(fd, bytes, count, at); \
  }
PREAD_AS(pread, off_t)
PREAD_AS(pread64, off64_t)

ssize_t read(int fd, void *bytes, size_t count) {
  REAL(ssize_t, "read", int, void *, size_t);
  if (fails(FAIL_READ, fd)) return -1;
  return real(fd, bytes, count);
}

#define FTRUNCATE_AS(name, offset_type) \
  int name(int fd, offset_type size) { \
    REAL(int, #name, int, offset_type); \
    if (dies(FTRUNCATE)) die(); \
    if (fails(FAIL_TRUNCATE, fd)) return -1; \
    return real(fd, size); \
  }
FTRUNCATE_AS(ftruncate, off_t)
FTRUNCATE_AS(ftruncate64, off64_t)

#define FCNTL_AS(name) \
  int name(int fd, int command, ...) { \
    REAL(int, #name, int, int, ...); \
    va_list list; \
    va_start(list, command); \
    void *argument = va_arg(list, void *); \
    va_end(list); \
    if (dies(FCNTL)) die(); \
    return real(fd, command, argument); \
  }
FCNTL_AS(fcntl)
FCNTL_AS(fcntl64)

#define SYNC_AS(name) \
  int name(int fd) { \
    REAL(int, #name, int); \
    if (dies(FSYNC)) die(); \
    if (fails(FAIL_SYNC, fd)) return -1; \
    return real(fd); \
  }
SYNC_AS(fsync)
SYNC_AS(fdatasync)

#define OPEN_AS(name) \
  int name(const char *path, int flags, ...) { \
    REAL(int, #name, const char *, int, ...); \
    va_list list; \
    va_start(list, flags); \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0; \
    va_end(list); \
    if ((control->failing & FAIL_OPEN) != 0 && fails_on(FAIL_OPEN, path)) return -1; \
    return real(path, flags, mode); \
  }
OPEN_AS(open)
OPEN_AS(open64)

int clock_gettime(clockid_t clock, struct timespec *at) {
  REAL(int, "clock_gettime", clockid_t, struct timespec *);
  int result = real(clock, at);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) && control->offset != 0) {
    int64_t sum = at->tv_nsec + control->offset % 1000000000;
    at->tv_sec += control->offset / 1000000000 + (sum >= 1000000000) - (sum < 0);
    at->tv_nsec = sum + (sum < 0 ? 1000000000 : sum >= 1000000000 ? -1000000000 : 0);
  }
  return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  struct timespec spec;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &spec) != 0) return -1;
  at->tv_sec = spec.tv_sec;
  at->tv_usec = spec.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *into) {
  struct timespec spec;
  clock_gettime(CLOCK_REALTIME, &spec);
  if (into != NULL) *into = spec.tv_sec;
  return spec.tv_sec;
}
