/* A disk that breaks under open files: whatever would change a file under one folder fails with a given error.
 *
 * FAULTS_DISK_ROOT    the folder, an absolute path without links
 * FAULTS_DISK_ERROR   a file of 4 bytes, in the machine's byte order: 0, or the errno of each write, fsync, open for
 *                     writing, rename and unlink (EROFS: the kernel made it read-only after an error; EIO: it is broken)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

static int32_t none;
static volatile int32_t *error = &none;
static const char *root;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("FAULTS_DISK_ERROR");
    if (!name) return;
    int file = open(name, O_RDONLY | O_CLOEXEC);
    void *there = file < 0 ? MAP_FAILED : mmap(0, sizeof *error, PROT_READ, MAP_SHARED, file, 0);
    if (there == MAP_FAILED) {
        perror(name);
        abort();
    }
    close(file);
    root = getenv("FAULTS_DISK_ROOT");
    error = there;
}

static int hit_path(const char *path) {
    if (!*error || !root || !path) return 0;
    if (strncmp(path, root, strlen(root))) return 0;
    errno = *error;
    return 1;
}

static int hit_file(int file) {
    char link[64], path[PATH_MAX];
    if (!*error) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return hit_path(path);
}

#define NEXT(name) static __typeof__(name) *next; if (!next) next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

ssize_t write(int file, const void *data, size_t size) {
    NEXT(write);
    return hit_file(file) ? -1 : next(file, data, size);
}
ssize_t writev(int file, const struct iovec *parts, int count) {
    NEXT(writev);
    return hit_file(file) ? -1 : next(file, parts, count);
}
ssize_t pwrite(int file, const void *data, size_t size, off_t at) {
    NEXT(pwrite);
    return hit_file(file) ? -1 : next(file, data, size, at);
}
ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    NEXT(pwrite64);
    return hit_file(file) ? -1 : next(file, data, size, at);
}
int ftruncate(int file, off_t size) {
    NEXT(ftruncate);
    return hit_file(file) ? -1 : next(file, size);
}
int ftruncate64(int file, off64_t size) {
    NEXT(ftruncate64);
    return hit_file(file) ? -1 : next(file, size);
}
int fsync(int file) {
    NEXT(fsync);
    return hit_file(file) ? -1 : next(file);
}
int fdatasync(int file) {
    NEXT(fdatasync);
    return hit_file(file) ? -1 : next(file);
}
int rename(const char *from, const char *to) {
    NEXT(rename);
    return hit_path(to) ? -1 : next(from, to);
}
int unlink(const char *path) {
    NEXT(unlink);
    return hit_path(path) ? -1 : next(path);
}
int mkdir(const char *path, mode_t mode) {
    NEXT(mkdir);
    return hit_path(path) ? -1 : next(path, mode);
}

#define OPEN(name)                                                                    \
    int name(const char *path, int flags, ...) {                                      \
        NEXT(name);                                                                   \
        va_list rest;                                                                 \
        va_start(rest, flags);                                                        \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;       \
        va_end(rest);                                                                 \
        if (flags & (O_WRONLY | O_RDWR | O_CREAT) && hit_path(path)) return -1;       \
        return next(path, flags, mode);                                               \
    }
OPEN(open)
OPEN(open64)
