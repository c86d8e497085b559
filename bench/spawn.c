/* spawn N PROGRAM: starts PROGRAM N times, one after the other; prints microseconds for each, on the average. */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    long n = atol(argv[1]);
    char *arguments[] = {argv[2], NULL}, *environment[] = {NULL};
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (long i = 0; i < n; i++) {
        pid_t pid;
        int status;
        if (posix_spawn(&pid, argv[2], NULL, NULL, arguments, environment)) return 1;
        if (waitpid(pid, &status, 0) != pid || status != 0) return 1;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.2f\n", ((end.tv_sec - begin.tv_sec) * 1e6 + (end.tv_nsec - begin.tv_nsec) / 1e3) / n);
    return 0;
}
