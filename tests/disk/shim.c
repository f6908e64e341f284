/* Between a process and its disk: counts each call that changes anything below a directory, and
 * at the n-th kills the process or refuses the call; or writes all of them down, in order.
 *
 * Loaded with LD_PRELOAD it sees what Python, SQLite and ctypes do, in all threads. It does not
 * see stores through memory maps: SQLite maps only its "-shm", which it makes anew.
 *
 * A process begins unarmed: arm() says what to do, disarm() ends it. The lines of the log:
 *
 *     create|mkdir|link DIR NAME STAT      a name was made
 *     symlink DIR NAME TARGET STAT
 *     rename DIR NAME DIR NAME STAT        of what was moved
 *     unlink DIR NAME
 *     write OFFSET LENGTH STAT             the bytes follow, and a newline
 *     inode STAT                           its size, mode, owner or times were set
 *     xattr NAME VALUE STAT                set; "-" for a value that was removed
 *     sync INODE                           of a file or directory
 *     syncfs
 *     mark TEXT
 *
 * DIR and INODE are numbers, NAME, TARGET, VALUE and TEXT are hexadecimal, after an "x"; STAT is
 * inode, size, mtime_ns, ctime_ns, mode, after the call.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

enum what { COUNT, KILL_BEFORE, KILL_AFTER, KILL_TORN, FAIL_ONCE, FAIL_ON };

enum kind { NAMES = 1, DATA = 2, INODES = 4, SYNCS = 8 };

#define FICLONE_REQUEST 0x40049409

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char prefix[PATH_MAX];
static size_t prefix_length; /* 0: not armed */
static enum what what;
static int kinds; /* those that are counted */
static long at, count;
static int refusal; /* an errno */
static int log_fd = -1;

/* Count from now on. kinds_: of calls, a sum; at_: which of them, from 1; log: a descriptor. */
void disk_arm(const char *below, int what_, int kinds_, long at_, int refusal_, int log)
{
    pthread_mutex_lock(&lock);
    prefix_length = strlen(below);
    memcpy(prefix, below, prefix_length + 1);
    what = what_, kinds = kinds_, at = at_, refusal = refusal_, log_fd = log, count = 0;
    pthread_mutex_unlock(&lock);
}

/* From now on nothing is refused. Returns how many calls there were. */
long disk_disarm(void)
{
    pthread_mutex_lock(&lock);
    prefix_length = 0;
    long counted = count;
    pthread_mutex_unlock(&lock);
    return counted;
}

/* --- which calls count ------------------------------------------------------------------ */

static bool is_below(const char *path)
{
    return strncmp(path, prefix, prefix_length) == 0 &&
           (path[prefix_length] == '/' || path[prefix_length] == '\0');
}

static bool fd_below(int fd)
{
    if (!prefix_length)
        return false;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return false;
    path[length] = '\0';
    return is_below(path);
}

static bool path_below(int dir, const char *path)
{
    if (!prefix_length || path == NULL)
        return false;
    if (strncmp(path, "/proc/self/fd/", 14) == 0)
        return fd_below(atoi(path + 14));
    if (path[0] == '/')
        return is_below(path);
    if (dir != AT_FDCWD)
        return fd_below(dir);
    char here[PATH_MAX];
    return getcwd(here, sizeof here) != NULL && is_below(here);
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

struct step {
    bool counts;  /* it is below, and the lock is held */
    bool now;     /* it is the one */
    bool refused; /* and the caller gets errno */
};

static struct step begin(enum kind kind, bool below)
{
    struct step step = {0};
    if (!below)
        return step;
    pthread_mutex_lock(&lock);
    step.counts = true;
    if (kinds & kind) {
        count++;
        step.now = count == at;
        step.refused = (what == FAIL_ONCE && step.now) || (what == FAIL_ON && count >= at);
        if (step.now && (what == KILL_BEFORE || (what == KILL_TORN && kind != DATA)))
            die();
    }
    if (step.refused) {
        pthread_mutex_unlock(&lock);
        errno = refusal;
    }
    return step;
}

static void end(const struct step *step)
{
    if (!step->counts)
        return;
    if (step->now && what == KILL_AFTER)
        die();
    pthread_mutex_unlock(&lock);
}

/* --- the log ---------------------------------------------------------------------------- */

static void put(const void *bytes, size_t length)
{
    const char *rest = bytes;
    while (length > 0) {
        ssize_t done = syscall(SYS_write, log_fd, rest, length);
        if (done <= 0)
            abort();
        rest += done, length -= done;
    }
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    put(line, length);
}

static void say_hex(const void *bytes, size_t length)
{
    const unsigned char *each = bytes;
    say(" x");
    for (size_t i = 0; i < length; i++)
        say("%02x", each[i]);
}

static void say_stat(const struct stat *status)
{
    say(" %lu %ld %lld %lld %u\n", (unsigned long)status->st_ino, (long)status->st_size,
        status->st_mtim.tv_sec * 1000000000LL + status->st_mtim.tv_nsec,
        status->st_ctim.tv_sec * 1000000000LL + status->st_ctim.tv_nsec, status->st_mode);
}

static bool logs(const struct step *step, bool done)
{
    return step->counts && done && log_fd >= 0;
}

/* The directory and the name that a path leads to. */
static void say_place(int dir, const char *path)
{
    char above[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (slash != NULL)
        snprintf(above, sizeof above, "%.*s/", (int)(slash - path), path);
    struct stat status = {0};
    if (slash != NULL)
        fstatat(dir, above, &status, 0);
    else if (dir == AT_FDCWD)
        stat(".", &status);
    else
        fstat(dir, &status);
    say(" %lu", (unsigned long)status.st_ino);
    const char *name = slash != NULL ? slash + 1 : path;
    say_hex(name, strlen(name));
}

static void say_stat_at(int dir, const char *path, int flags)
{
    struct stat status = {0};
    fstatat(dir, path, &status, flags);
    say_stat(&status);
}

static void say_stat_of(int fd)
{
    struct stat status = {0};
    fstat(fd, &status);
    say_stat(&status);
}

static void say_bytes(int fd, off_t offset, const void *bytes, size_t length)
{
    say("write %ld %zu", (long)offset, length);
    say_stat_of(fd);
    put(bytes, length);
    put("\n", 1);
}

/* What stands in a file from an offset on, where the call did not show it. */
static void say_content(int fd, off_t offset, size_t length)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int reading = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
    char *bytes = malloc(length);
    if (reading < 0 || bytes == NULL || pread(reading, bytes, length, offset) != (ssize_t)length)
        abort();
    say_bytes(fd, offset, bytes, length);
    free(bytes);
    syscall(SYS_close, reading);
}

void disk_mark(const char *text)
{
    pthread_mutex_lock(&lock);
    if (log_fd >= 0) {
        say("mark");
        say_hex(text, strlen(text));
        say("\n");
    }
    pthread_mutex_unlock(&lock);
}

/* --- the calls -------------------------------------------------------------------------- */

#define REAL(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (real == NULL)                                                                              \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* A call that is carried out or refused, then logged by LOG if it succeeded. */
#define CALL(kind, below, call, LOG)                                                               \
    struct step step = begin(kind, below);                                                         \
    if (step.refused)                                                                              \
        return -1;                                                                                 \
    __typeof__(call) result = call;                                                                \
    int error = errno;                                                                             \
    if (logs(&step, result >= 0)) {                                                                \
        LOG;                                                                                       \
    }                                                                                              \
    end(&step);                                                                                    \
    errno = error;                                                                                 \
    return result

static bool is_there(int dir, const char *path)
{
    struct stat status;
    return fstatat(dir, path, &status, 0) == 0;
}

static void log_open(int dir, const char *path, int flags, bool was_there, int fd)
{
    if (!was_there) {
        say("create");
        say_place(dir, path);
        say_stat_of(fd);
    } else if (flags & O_TRUNC) {
        say("inode");
        say_stat_of(fd);
    }
}

#define OPENAT(name)                                                                               \
    int name(int dir, const char *path, int flags, ...)                                            \
    {                                                                                              \
        REAL(name);                                                                                \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = va_arg(arguments, mode_t);                                                   \
        va_end(arguments);                                                                         \
        bool changes = (flags & (O_CREAT | O_TRUNC)) && path_below(dir, path);                     \
        bool was_there = changes && is_there(dir, path);                                           \
        CALL(NAMES, changes, real(dir, path, flags, mode),                                         \
             log_open(dir, path, flags, was_there, result));                                       \
    }
OPENAT(openat)
OPENAT(openat64)

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        REAL(name);                                                                                \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = va_arg(arguments, mode_t);                                                   \
        va_end(arguments);                                                                         \
        bool changes = (flags & (O_CREAT | O_TRUNC)) && path_below(AT_FDCWD, path);                \
        bool was_there = changes && is_there(AT_FDCWD, path);                                      \
        CALL(NAMES, changes, real(path, flags, mode),                                              \
             log_open(AT_FDCWD, path, flags, was_there, result));                                  \
    }
OPEN(open)
OPEN(open64)

/* Half of a write is done, then comes the end. */
#define TORN(half)                                                                                 \
    if (step.now && what == KILL_TORN) {                                                           \
        half;                                                                                      \
        die();                                                                                     \
    }

static off_t place_of(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return lseek(fd, 0, flags >= 0 && (flags & O_APPEND) ? SEEK_END : SEEK_CUR);
}

/* SHOWN: the bytes, if the caller has them. To read them back would break a lease on the file. */
#define WRITE(kind, fd, call, half, offset, shown)                                                        \
    off_t before = fd_below(fd) ? (offset) : 0;                                                    \
    struct step step = begin(kind, fd_below(fd));                                                  \
    if (step.refused)                                                                              \
        return -1;                                                                                 \
    TORN(half)                                                                                     \
    ssize_t result = call;                                                                         \
    int error = errno;                                                                             \
    const void *bytes_shown = (shown);                                                             \
    if (logs(&step, result > 0 && bytes_shown != NULL))                                            \
        say_bytes(fd, before, bytes_shown, result);                                                \
    else if (logs(&step, result > 0))                                                              \
        say_content(fd, before, result);                                                           \
    end(&step);                                                                                    \
    errno = error;                                                                                 \
    return result

ssize_t write(int fd, const void *bytes, size_t length)
{
    REAL(write);
    WRITE(DATA, fd, real(fd, bytes, length), real(fd, bytes, length / 2), place_of(fd),
          bytes);
}

ssize_t writev(int fd, const struct iovec *pieces, int number)
{
    REAL(writev);
    WRITE(DATA, fd, real(fd, pieces, number), real(fd, pieces, number / 2), place_of(fd), NULL);
}

#define PWRITE(name)                                                                               \
    ssize_t name(int fd, const void *bytes, size_t length, off_t offset)                           \
    {                                                                                              \
        REAL(name);                                                                                \
        WRITE(DATA, fd, real(fd, bytes, length, offset), real(fd, bytes, length / 2, offset),      \
              offset, bytes);                                                                      \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

#define SENDFILE(name)                                                                             \
    ssize_t name(int to, int from, off_t *offset, size_t length)                                   \
    {                                                                                              \
        REAL(name);                                                                                \
        WRITE(DATA, to, real(to, from, offset, length), real(to, from, offset, length / 2),        \
              place_of(to), NULL);                                                                 \
    }
SENDFILE(sendfile)
SENDFILE(sendfile64)

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t length,
                        unsigned flags)
{
    REAL(copy_file_range);
    WRITE(DATA, to, real(from, from_at, to, to_at, length, flags),
          real(from, from_at, to, to_at, length / 2, flags),
          to_at != NULL ? *to_at : place_of(to), NULL);
}

int ioctl(int fd, unsigned long request, ...)
{
    REAL(ioctl);
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    struct stat status;
    CALL(DATA, request == FICLONE_REQUEST && fd_below(fd), real(fd, request, argument),
         fstat(fd, &status);
         say_content(fd, 0, status.st_size));
}

#define LOG_INODE(said)                                                                            \
    say("inode");                                                                                  \
    said

#define TRUNCATE(name)                                                                             \
    int name(int fd, off_t length)                                                                 \
    {                                                                                              \
        REAL(name);                                                                                \
        CALL(DATA, fd_below(fd), real(fd, length), LOG_INODE(say_stat_of(fd)));                    \
    }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

#define FALLOCATE(name)                                                                            \
    int name(int fd, int mode, off_t offset, off_t length)                                         \
    {                                                                                              \
        REAL(name);                                                                                \
        CALL(DATA, fd_below(fd), real(fd, mode, offset, length), LOG_INODE(say_stat_of(fd)));      \
    }
FALLOCATE(fallocate)
FALLOCATE(fallocate64)

#define SYNC(name)                                                                                 \
    int name(int fd)                                                                               \
    {                                                                                              \
        REAL(name);                                                                                \
        struct stat status;                                                                        \
        CALL(SYNCS, fd_below(fd), real(fd), fstat(fd, &status);                                    \
             say("sync %lu\n", (unsigned long)status.st_ino));                                     \
    }
SYNC(fsync)
SYNC(fdatasync)

int syncfs(int fd)
{
    REAL(syncfs);
    CALL(SYNCS, fd_below(fd), real(fd), say("syncfs\n"));
}

static void log_rename(int dir, const char *path, int to_dir, const char *to)
{
    say("rename");
    say_place(dir, path);
    say_place(to_dir, to);
    say_stat_at(to_dir, to, AT_SYMLINK_NOFOLLOW);
}

int renameat2(int dir, const char *path, int to_dir, const char *to, unsigned flags)
{
    REAL(renameat2);
    if (flags != 0 && flags != RENAME_NOREPLACE && log_fd >= 0)
        abort(); /* no line for it */
    CALL(NAMES, path_below(dir, path) || path_below(to_dir, to),
         real(dir, path, to_dir, to, flags), log_rename(dir, path, to_dir, to));
}

int renameat(int dir, const char *path, int to_dir, const char *to)
{
    REAL(renameat);
    CALL(NAMES, path_below(dir, path) || path_below(to_dir, to), real(dir, path, to_dir, to),
         log_rename(dir, path, to_dir, to));
}

int rename(const char *path, const char *to)
{
    REAL(rename);
    CALL(NAMES, path_below(AT_FDCWD, path) || path_below(AT_FDCWD, to), real(path, to),
         log_rename(AT_FDCWD, path, AT_FDCWD, to));
}

static void log_made(const char *how, int dir, const char *path)
{
    say("%s", how);
    say_place(dir, path);
    say_stat_at(dir, path, AT_SYMLINK_NOFOLLOW);
}

int linkat(int dir, const char *path, int to_dir, const char *to, int flags)
{
    REAL(linkat);
    CALL(NAMES, path_below(to_dir, to), real(dir, path, to_dir, to, flags),
         log_made("link", to_dir, to));
}

int link(const char *path, const char *to)
{
    REAL(link);
    CALL(NAMES, path_below(AT_FDCWD, to), real(path, to), log_made("link", AT_FDCWD, to));
}

int mkdirat(int dir, const char *path, mode_t mode)
{
    REAL(mkdirat);
    CALL(NAMES, path_below(dir, path), real(dir, path, mode), log_made("mkdir", dir, path));
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    CALL(NAMES, path_below(AT_FDCWD, path), real(path, mode), log_made("mkdir", AT_FDCWD, path));
}

static void log_symlink(const char *target, int dir, const char *path)
{
    say("symlink");
    say_place(dir, path);
    say_hex(target, strlen(target));
    say_stat_at(dir, path, AT_SYMLINK_NOFOLLOW);
}

int symlinkat(const char *target, int dir, const char *path)
{
    REAL(symlinkat);
    CALL(NAMES, path_below(dir, path), real(target, dir, path), log_symlink(target, dir, path));
}

int symlink(const char *target, const char *path)
{
    REAL(symlink);
    CALL(NAMES, path_below(AT_FDCWD, path), real(target, path),
         log_symlink(target, AT_FDCWD, path));
}

static void log_unlink(int dir, const char *path)
{
    say("unlink");
    say_place(dir, path);
    say("\n");
}

int unlinkat(int dir, const char *path, int flags)
{
    REAL(unlinkat);
    CALL(NAMES, path_below(dir, path), real(dir, path, flags), log_unlink(dir, path));
}

#define UNLINK(name)                                                                               \
    int name(const char *path)                                                                     \
    {                                                                                              \
        REAL(name);                                                                                \
        CALL(NAMES, path_below(AT_FDCWD, path), real(path), log_unlink(AT_FDCWD, path));           \
    }
UNLINK(unlink)
UNLINK(rmdir)

int fchmod(int fd, mode_t mode)
{
    REAL(fchmod);
    CALL(INODES, fd_below(fd), real(fd, mode), LOG_INODE(say_stat_of(fd)));
}

int fchmodat(int dir, const char *path, mode_t mode, int flags)
{
    REAL(fchmodat);
    CALL(INODES, path_below(dir, path), real(dir, path, mode, flags),
         LOG_INODE(say_stat_at(dir, path, flags)));
}

int chmod(const char *path, mode_t mode)
{
    REAL(chmod);
    CALL(INODES, path_below(AT_FDCWD, path), real(path, mode),
         LOG_INODE(say_stat_at(AT_FDCWD, path, 0)));
}

int fchown(int fd, uid_t user, gid_t group)
{
    REAL(fchown);
    CALL(INODES, fd_below(fd), real(fd, user, group), LOG_INODE(say_stat_of(fd)));
}

int fchownat(int dir, const char *path, uid_t user, gid_t group, int flags)
{
    REAL(fchownat);
    CALL(INODES, path_below(dir, path), real(dir, path, user, group, flags),
         LOG_INODE(say_stat_at(dir, path, flags)));
}

#define CHOWN(name, flags)                                                                         \
    int name(const char *path, uid_t user, gid_t group)                                            \
    {                                                                                              \
        REAL(name);                                                                                \
        CALL(INODES, path_below(AT_FDCWD, path), real(path, user, group),                          \
             LOG_INODE(say_stat_at(AT_FDCWD, path, flags)));                                       \
    }
CHOWN(chown, 0)
CHOWN(lchown, AT_SYMLINK_NOFOLLOW)

int futimens(int fd, const struct timespec times[2])
{
    REAL(futimens);
    CALL(INODES, fd_below(fd), real(fd, times), LOG_INODE(say_stat_of(fd)));
}

int utimensat(int dir, const char *path, const struct timespec times[2], int flags)
{
    REAL(utimensat);
    CALL(INODES, path_below(dir, path), real(dir, path, times, flags),
         LOG_INODE(say_stat_at(dir, path, flags)));
}

static void say_value(const char *name, const void *value, size_t length)
{
    say("xattr");
    say_hex(name, strlen(name));
    if (value == NULL)
        say(" -");
    else
        say_hex(value, length);
}

int fsetxattr(int fd, const char *name, const void *value, size_t length, int flags)
{
    REAL(fsetxattr);
    CALL(INODES, fd_below(fd), real(fd, name, value, length, flags),
         say_value(name, value, length);
         say_stat_of(fd));
}

int fremovexattr(int fd, const char *name)
{
    REAL(fremovexattr);
    CALL(INODES, fd_below(fd), real(fd, name), say_value(name, NULL, 0); say_stat_of(fd));
}

#define XATTR(set, remove, stat_flags)                                                             \
    int set(const char *path, const char *name, const void *value, size_t length, int flags)       \
    {                                                                                              \
        REAL(set);                                                                                 \
        CALL(INODES, path_below(AT_FDCWD, path), real(path, name, value, length, flags),           \
             say_value(name, value, length);                                                       \
             say_stat_at(AT_FDCWD, path, stat_flags));                                             \
    }                                                                                              \
    int remove(const char *path, const char *name)                                                 \
    {                                                                                              \
        REAL(remove);                                                                              \
        CALL(INODES, path_below(AT_FDCWD, path), real(path, name), say_value(name, NULL, 0);       \
             say_stat_at(AT_FDCWD, path, stat_flags));                                             \
    }
XATTR(setxattr, removexattr, 0)
XATTR(lsetxattr, lremovexattr, AT_SYMLINK_NOFOLLOW)
