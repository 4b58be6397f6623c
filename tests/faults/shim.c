/* Stands between a program and the C library, for what changes files below some folders.
 *
 *   FILES_UNDER   the folders, separated by colons; nothing else is touched
 *   FILES_FAULT   a file `ERRNO WORD...`: while it is there, the calls of these kinds fail with that number
 *   FILES_LOG     every change that was made is appended to this file, for disk.py to replay
 *
 * and for a program that calls them: files_arm(n) kills the process at the n-th change from now on, before it is made;
 * files_count() says how many there were.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(result, name, ...) static result (*real_##name)(__VA_ARGS__); \
    if (!real_##name) real_##name = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static long count, kill_at;
static int log_to = -1;

void files_arm(long n) { count = 0; kill_at = n; }
long files_count(void) { return count; }

static int watched(const char *path) {
    const char *under = getenv("FILES_UNDER");
    while (path && under && *under) {
        size_t length = strcspn(under, ":");
        if (!strncmp(path, under, length) && (path[length] == '/' || !path[length])) return 1;
        under += length + (under[length] == ':');
    }
    return 0;
}

static const char *path_of(int fd, char *room) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, room, 4095);
    if (length <= 0) return NULL;
    room[length] = 0;
    return room;
}

static int ssize_write(int fd, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    return real_write(fd, data, size) == (ssize_t)size ? 0 : -1;
}

/* Whether a call of this kind is to fail now: errno, or 0. */
static int fault(const char *kind) {
    const char *control = getenv("FILES_FAULT");
    char text[256], *word, *rest;
    int fd, number;
    ssize_t length;
    REAL(int, open64, const char *, int, ...);
    if (!control || (fd = real_open64(control, O_RDONLY | O_CLOEXEC)) < 0) return 0;
    length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0) return 0;
    text[length] = 0;
    number = (int)strtol(text, &rest, 10);
    for (word = strtok_r(rest, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest))
        if (!strcmp(word, kind)) return number;
    return 0;
}

/* Before a change. What it gives is the errno to fail with, or 0. */
static int before(const char *kind, const char *path) {
    int saved = errno, number;
    if (!watched(path)) return 0;
    number = fault(kind);
    errno = saved;
    if (number) return number;
    if (__atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) == kill_at) kill(getpid(), SIGKILL);
    return 0;
}

static void put(const char *kind, const char *path, const char *other, uint64_t at, const void *data, uint32_t size) {
    const char *file = getenv("FILES_LOG");
    char head[9000];
    int saved = errno, length;
    if (!file || !watched(path)) return;
    if (log_to < 0) {
        REAL(int, open64, const char *, int, ...);
        log_to = real_open64(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    length = snprintf(head, sizeof head, "%s\t%s\t%s\t%llu\t%u\n", kind, path, other, (unsigned long long)at, size);
    if (ssize_write(log_to, head, (size_t)length) || (size && ssize_write(log_to, data, size))) abort();
    errno = saved;
}

#define AROUND(kind, path, failed, call, log) do { \
    int number_ = before(kind, path); \
    if (number_) { errno = number_; return failed; } \
    pthread_mutex_lock(&one_at_a_time); \
    __typeof__(call) done_ = call; \
    if (done_ != failed) { log; } \
    pthread_mutex_unlock(&one_at_a_time); \
    return done_; } while (0)

#define OPENING(name) \
    int name(const char *path, int flags, ...) { \
        va_list rest; mode_t mode; int made; \
        REAL(int, name, const char *, int, ...); \
        va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); \
        made = flags & O_CREAT && access(path, F_OK); \
        if (made && strcmp(path, getenv("FILES_LOG") ? getenv("FILES_LOG") : "")) \
            AROUND("create", path, -1, real_##name(path, flags, mode), put("create", path, "", 0, 0, 0)); \
        return real_##name(path, flags, mode); \
    }
OPENING(open)
OPENING(open64)

ssize_t write(int fd, const void *data, size_t size) {
    char room[4096]; const char *path = path_of(fd, room);
    REAL(ssize_t, write, int, const void *, size_t);
    if (!watched(path)) return real_write(fd, data, size);
    AROUND("write", path, -1, real_write(fd, data, size),
           put("write", path, "", (uint64_t)(lseek(fd, 0, SEEK_CUR) - done_), data, (uint32_t)done_));
}

#define WRITING_AT(name, offset) \
    ssize_t name(int fd, const void *data, size_t size, offset at) { \
        char room[4096]; const char *path = path_of(fd, room); \
        REAL(ssize_t, name, int, const void *, size_t, offset); \
        AROUND("write", path, -1, real_##name(fd, data, size, at), \
               put("write", path, "", (uint64_t)at, data, (uint32_t)done_)); \
    }
WRITING_AT(pwrite, off_t)
WRITING_AT(pwrite64, off64_t)

#define OF_FILE(kind, name) \
    int name(int fd) { \
        char room[4096]; const char *path = path_of(fd, room); \
        REAL(int, name, int); \
        AROUND(kind, path, -1, real_##name(fd), put(kind, path, "", 0, 0, 0)); \
    }
OF_FILE("sync", fsync)
OF_FILE("sync", fdatasync)

#define CUTTING(name, offset) \
    int name(int fd, offset size) { \
        char room[4096]; const char *path = path_of(fd, room); \
        REAL(int, name, int, offset); \
        AROUND("cut", path, -1, real_##name(fd, size), put("cut", path, "", (uint64_t)size, 0, 0)); \
    }
CUTTING(ftruncate, off_t)
CUTTING(ftruncate64, off64_t)

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    AROUND("rename", from, -1, real_rename(from, to), put("rename", from, to, 0, 0, 0));
}

int link(const char *from, const char *to) {
    REAL(int, link, const char *, const char *);
    AROUND("create", from, -1, real_link(from, to), put("link", from, to, 0, 0, 0));
}

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    AROUND("unlink", path, -1, real_unlink(path), put("unlink", path, "", 0, 0, 0));
}

int rmdir(const char *path) {
    REAL(int, rmdir, const char *);
    AROUND("unlink", path, -1, real_rmdir(path), put("rmdir", path, "", 0, 0, 0));
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    AROUND("create", path, -1, real_mkdir(path, mode), put("mkdir", path, "", 0, 0, 0));
}

/* Locks change nothing on the disk: they only fail where they are told to. */
int flock(int fd, int operation) {
    char room[4096]; int number;
    REAL(int, flock, int, int);
    if (watched(path_of(fd, room)) && (number = fault("lock"))) { errno = number; return -1; }
    return real_flock(fd, operation);
}

#define CONTROLLING(name) \
    int name(int fd, int command, ...) { \
        char room[4096]; va_list rest; void *argument; int number; \
        REAL(int, name, int, int, ...); \
        va_start(rest, command); argument = va_arg(rest, void *); va_end(rest); \
        if ((command == F_SETLK || command == F_SETLKW || command == F_GETLK) && watched(path_of(fd, room)) \
            && (number = fault("lock"))) { errno = number; return -1; } \
        return real_##name(fd, command, argument); \
    }
CONTROLLING(fcntl)
CONTROLLING(fcntl64)
