/* Counts what a process does to files under one folder, and at the n-th call kills it or lets the call fail.
 *
 * Preloaded by tests/store/saving.py. A write that is hit does half of its work first, as a real one may.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[4096];
static long calls, at;
static int failure; /* 0 kills; else the errno to fail with */

void faults_arm(const char *folder, long n, int error) {
    strncpy(root, folder, sizeof root - 1);
    calls = 0; at = n; failure = error;
}
long faults_calls(void) { return calls; }

static int below(const char *path) { return root[0] && path && !strncmp(path, root, strlen(root)); }
static int below_fd(int fd) {
    char link[64], path[4096];
    if (!root[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return below(path);
}
static int hit(void) { return __sync_add_and_fetch(&calls, 1) == at; }
static int strike(void) {
    if (!failure) { kill(getpid(), SIGKILL); for (;;) pause(); }
    errno = failure;
    return -1;
}
#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *buffer, size_t n) {
    REAL(write);
    if (below_fd(fd) && hit()) { if (n > 1) real(fd, buffer, n / 2); return strike(); }
    return real(fd, buffer, n);
}
ssize_t pwrite64(int fd, const void *buffer, size_t n, off64_t place) {
    REAL(pwrite64);
    if (below_fd(fd) && hit()) { if (n > 1) real(fd, buffer, n / 2, place); return strike(); }
    return real(fd, buffer, n, place);
}
ssize_t writev(int fd, const struct iovec *parts, int n) {
    REAL(writev);
    return below_fd(fd) && hit() ? strike() : real(fd, parts, n);
}
int fsync(int fd) { REAL(fsync); return below_fd(fd) && hit() ? strike() : real(fd); }
int rename(const char *from, const char *to) {
    REAL(rename);
    return below(to) && hit() ? strike() : real(from, to);
}
int renameat(int a, const char *from, int b, const char *to) {
    REAL(renameat);
    return below(to) && hit() ? strike() : real(a, from, b, to);
}
int mkdir(const char *path, mode_t mode) { REAL(mkdir); return below(path) && hit() ? strike() : real(path, mode); }
int unlink(const char *path) { REAL(unlink); return below(path) && hit() ? strike() : real(path); }
int open64(const char *path, int flags, ...) {
    REAL(open64);
    va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest);
    return (flags & O_CREAT) && below(path) && hit() ? strike() : real(path, flags, mode);
}
int open(const char *path, int flags, ...) {
    REAL(open);
    va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest);
    return (flags & O_CREAT) && below(path) && hit() ? strike() : real(path, flags, mode);
}
