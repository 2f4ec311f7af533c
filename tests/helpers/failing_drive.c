/* Loaded before the C library: files with "failing" in their path cannot be read from $FAILS_AT on.
   What a drive with a bad sector, or one that was pulled out, looks like to a program. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t read(int file, void *buffer, size_t count) {
    static ssize_t (*real)(int, void *, size_t);
    char link[64], path[4096];
    if (!real) real = dlsym(RTLD_NEXT, "read");
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    const char *name = strrchr(path, '/');
    if (name && strstr(name, "failing") && lseek(file, 0, SEEK_CUR) + (off_t)count > atol(getenv("FAILS_AT"))) {
        errno = EIO;
        return -1;
    }
    return real(file, buffer, count);
}
