/* A disk that is full from the n-th write on, or at that one alone: what is below $FULL_DISK fails with ENOSPC.
   Counted are all calls that may need room: open to create, write, flush, rename, link, mkdir, a change of size.
   What each of them was is kept: its name and the path. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST 10000
static long counted, first;
static int stays;
static char *places[MOST];

void full_disk(long n, int stays_full) { counted = 0; first = n; stays = stays_full; }
long full_disk_counted(void) { return counted; }
const char *full_disk_place(long n) { return n <= MOST ? places[n - 1] : NULL; }

static int refused(const char *call, const char *path) {
    char place[PATH_MAX];
    const char *disk = getenv("FULL_DISK");
    if (!disk) return 0;
    if (path[0] != '/') {
        if (!getcwd(place, sizeof place)) return 0;
        strncat(place, "/", sizeof place - strlen(place) - 1);
        strncat(place, path, sizeof place - strlen(place) - 1);
        path = place;
    }
    if (strncmp(path, disk, strlen(disk)) != 0) return 0;
    long now = __atomic_add_fetch(&counted, 1, __ATOMIC_SEQ_CST);
    if (now <= MOST && asprintf(&places[now - 1], "%s %s", call, path + strlen(disk)) < 0) places[now - 1] = NULL;
    if (first && (stays ? now >= first : now == first)) { errno = ENOSPC; return 1; }
    return 0;
}

static int refused_fd(const char *call, int fd) {
    char link[64], path[PATH_MAX];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0) return 0;
    path[length] = 0;
    return refused(call, path);
}

#define NEXT(type, name) type (*next)() = (type (*)())dlsym(RTLD_NEXT, name)
#define OF_FD(type, name, given, passed) \
    type name given { if (refused_fd(#name, fd)) return -1; NEXT(type, #name); return next passed; }
#define OF_PATH(name, given, passed, path) \
    int name given { if (refused(#name, path)) return -1; NEXT(int, #name); return next passed; }
#define OPENS(name, given, passed) \
    int name given { \
        mode_t mode = 0; \
        if (flags & O_CREAT) { va_list more; va_start(more, flags); mode = va_arg(more, int); va_end(more); \
                               if (refused(#name, path)) return -1; } \
        NEXT(int, #name); return next passed; }

OF_FD(ssize_t, write, (int fd, const void *data, size_t n), (fd, data, n))
OF_FD(ssize_t, pwrite, (int fd, const void *data, size_t n, off_t at), (fd, data, n, at))
OF_FD(ssize_t, pwrite64, (int fd, const void *data, size_t n, off64_t at), (fd, data, n, at))
OF_FD(ssize_t, writev, (int fd, const struct iovec *parts, int n), (fd, parts, n))
OF_FD(int, fsync, (int fd), (fd))
OF_FD(int, fdatasync, (int fd), (fd))
OF_FD(int, ftruncate, (int fd, off_t size), (fd, size))
OF_FD(int, ftruncate64, (int fd, off64_t size), (fd, size))
OF_PATH(mkdir, (const char *path, mode_t mode), (path, mode), path)
OF_PATH(rename, (const char *from, const char *path), (from, path), path)
OF_PATH(link, (const char *from, const char *path), (from, path), path)
OF_PATH(linkat, (int a, const char *from, int b, const char *path, int flags), (a, from, b, path, flags), path)
OPENS(open, (const char *path, int flags, ...), (path, flags, mode))
OPENS(open64, (const char *path, int flags, ...), (path, flags, mode))
OPENS(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode))
OPENS(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode))
