/* spawn N PROGRAM OTHER: starts each N times, in turn, and prints for both how many nanoseconds until it has ended.
 * The first few are not counted. */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

static long now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000L + at.tv_nsec;
}

static long run(char *program) {
    char *arguments[] = {program, NULL}, *environment[] = {NULL};
    pid_t pid;
    int status;
    long begin = now();
    if (posix_spawn(&pid, program, NULL, NULL, arguments, environment)) exit(1);
    if (waitpid(pid, &status, 0) != pid || status != 0) exit(1);
    return now() - begin;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    for (long i = -10, n = atol(argv[1]); i < n; i++) {
        long one = run(argv[2]), other = run(argv[3]);
        if (i >= 0) printf("%ld %ld\n", one, other);
    }
    return 0;
}
