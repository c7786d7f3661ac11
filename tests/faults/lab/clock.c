/* A wall clock that jumps: adds the number of seconds in a shared file to whatever a process reads of the real time.
 *
 * FAULTS_CLOCK   a file of 8 bytes, a signed number of seconds in the machine's byte order
 *
 * The monotonic clock, sleeps and time-outs go on as they are, as they do when a real clock is set.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t zero;
static volatile int64_t *offset = &zero;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("FAULTS_CLOCK");
    if (!name) return;
    int file = open(name, O_RDONLY | O_CLOEXEC);
    void *there = file < 0 ? MAP_FAILED : mmap(0, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    if (there == MAP_FAILED) {
        perror(name);
        abort();
    }
    close(file);
    offset = there;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    long failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *offset;
    return (int)failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec exact;
    int failed = clock_gettime(CLOCK_REALTIME, &exact);
    if (!failed) *now = (struct timeval){exact.tv_sec, exact.tv_nsec / 1000};
    return failed;
}

time_t time(time_t *target) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    if (target) *target = now.tv_sec;
    return now.tv_sec;
}
