/* What a disk would still have after a power cut, for the files under one folder.
 *
 * Preloaded into a process (LD_PRELOAD), it makes of each fsync and fdatasync a copy of that file as it is at this moment,
 * under the shadow folder: everything that was written and not synced since is what a power cut may take. The content of
 * a file and the names in a folder are kept apart, as a file system does: a name (a new file, a rename, an unlink) is
 * certain after an fsync of its folder ("strict"), or, on a file system with an ordered journal such as ext4, after
 * any later fsync ("journal"). tests/faults/lab/power.py puts the pieces together again.
 *
 * FAULTS_POWER_ROOT    the folder watched, an absolute path without links
 * FAULTS_POWER_SHADOW  shadow folder: data/KEY (contents), strict/FOLDER and journal/FOLDER (lines of KEY<tab>NAME)
 *
 * A KEY is inode and time of birth, since inode numbers are used again. Writes need no interception: a copy at the time
 * of the sync has them all, those of stdio within libc included. No real sync is made: nothing here outlives the test.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *root, *shadow;

__attribute__((constructor)) static void begin(void) {
    root = getenv("FAULTS_POWER_ROOT");
    shadow = getenv("FAULTS_POWER_SHADOW");
}

static void die(const char *what) {
    fprintf(stderr, "power.c: %s: %s\n", what, strerror(errno));
    abort();
}

static void key_of(int at, const char *name, char *key, size_t size) {
    struct statx found;
    if (statx(at, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &found)) {
        key[0] = 0; /* removed in the meantime, by another process */
        return;
    }
    snprintf(key, size, "%llu-%lld-%u", (unsigned long long)found.stx_ino, (long long)found.stx_btime.tv_sec,
             found.stx_btime.tv_nsec);
}

/* Written beside and renamed, so that a kill in between leaves the old copy. */
static void put(const char *target, const char *temporary, int from) {
    char buffer[65536];
    int to = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (to < 0) die(temporary);
    off_t at = 0;
    for (;;) {
        ssize_t got = pread(from, buffer, sizeof buffer, at);
        if (got < 0) die("pread");
        if (got == 0) break;
        if (write(to, buffer, got) != got) die("write");
        at += got;
    }
    struct stat state;
    if (fstat(from, &state)) die("fstat");
    struct timespec times[2] = {state.st_atim, state.st_mtim};
    futimens(to, times);
    close(to);
    if (rename(temporary, target)) die(target);
}

static void keep_file(int file) {
    char key[128], source[64], target[PATH_MAX], temporary[PATH_MAX];
    key_of(file, "", key, sizeof key);
    /* A file that is open for writing only cannot be read through its descriptor. */
    snprintf(source, sizeof source, "/proc/self/fd/%d", file);
    int from = open(source, O_RDONLY | O_CLOEXEC);
    if (from < 0) {
        if (errno == ENOENT) return; /* it has no name any more */
        die(source);
    }
    snprintf(target, sizeof target, "%s/data/%s", shadow, key);
    snprintf(temporary, sizeof temporary, "%s/temporary-%d", shadow, getpid());
    put(target, temporary, from);
    close(from);
}

static void keep_names(const char *folder, const char *kind) {
    char flat[PATH_MAX], target[PATH_MAX * 2], temporary[PATH_MAX], key[128];
    const char *below = folder + strlen(root);
    snprintf(flat, sizeof flat, "%s", *below ? below : "/");
    for (char *c = flat; *c; c++) if (*c == '/') *c = '!';
    snprintf(target, sizeof target, "%s/%s/%s", shadow, kind, flat);
    snprintf(temporary, sizeof temporary, "%s/temporary-%d", shadow, getpid());
    DIR *listing = opendir(folder);
    if (!listing) return;
    FILE *out = fopen(temporary, "w");
    if (!out) die(temporary);
    for (struct dirent *entry; (entry = readdir(listing));) {
        if (entry->d_name[0] == '.' && (!entry->d_name[1] || !strcmp(entry->d_name, ".."))) continue;
        key_of(dirfd(listing), entry->d_name, key, sizeof key);
        struct stat state;
        if (!key[0] || fstatat(dirfd(listing), entry->d_name, &state, AT_SYMLINK_NOFOLLOW)) continue;
        if (S_ISREG(state.st_mode)) fprintf(out, "%s\t%s\n", key, entry->d_name);
    }
    closedir(listing);
    if (fclose(out)) die("fclose");
    if (rename(temporary, target)) die(target);
}

static void keep_all_names(const char *folder) {
    keep_names(folder, "journal");
    DIR *listing = opendir(folder);
    if (!listing) return;
    for (struct dirent *entry; (entry = readdir(listing));) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
        char below[PATH_MAX];
        snprintf(below, sizeof below, "%s/%s", folder, entry->d_name);
        keep_all_names(below);
    }
    closedir(listing);
}

static int synced(int file) {
    char link[64], path[PATH_MAX];
    struct stat state;
    if (fstat(file, &state)) return -1;
    if (!root || !shadow) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    size_t prefix = strlen(root);
    if (strncmp(path, root, prefix) || (path[prefix] && path[prefix] != '/')) return 0;
    pthread_mutex_lock(&lock);
    if (S_ISDIR(state.st_mode)) keep_names(path, "strict");
    else if (S_ISREG(state.st_mode)) keep_file(file);
    keep_all_names(root);
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int file) { return synced(file); }

int fdatasync(int file) { return synced(file); }

int syncfs(int file) { return synced(file); }
