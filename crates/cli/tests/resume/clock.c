/* A clock that goes so many seconds ahead as CLOCK_AHEAD says, for a process that has this library loaded before any other. */

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    const char *ahead = getenv("CLOCK_AHEAD");
    long failed = syscall(SYS_clock_gettime, clock, now);
    /* What measures durations goes as it goes on every machine. */
    if (failed == 0 && ahead != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += atol(ahead);
    }
    return (int)failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec read;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &read) != 0) {
        return -1;
    }
    now->tv_sec = read.tv_sec;
    now->tv_usec = read.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec read;
    if (clock_gettime(CLOCK_REALTIME, &read) != 0) {
        return (time_t)-1;
    }
    if (at != NULL) {
        *at = read.tv_sec;
    }
    return read.tv_sec;
}
