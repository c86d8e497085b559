/* launch [-r ROOT] [-t SECONDS] OUT ERR PROGRAM ARGUMENT…: runs a program to its end and prints what it took:
 *
 *   wall_ns user_us sys_us maxrss_kib rchar read_bytes status
 *
 * OUT and ERR are files for what the program prints. With -r it runs in ROOT. After SECONDS it is killed. The status
 * is its exit code, or 128 and the signal that ended it.
 *
 * A small program of its own, since the peak of memory that wait4 tells of a process includes that of whoever started
 * it: the kernel counts the image that an exec replaces. Between its fork and its exec the child is as small as this. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t child;

static void too_late(int signal_number) {
    (void)signal_number;
    kill(child, SIGKILL);
}

static long long now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    _exit(127);
}

static void open_as(const char *name, int number) {
    int file = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || dup2(file, number) < 0) fail(name);
}

/* What the kernel counted of the child's reading, while its entry is still there. */
static long long counted(const char *name) {
    char path[64], line[128];
    long long value = -1;
    snprintf(path, sizeof path, "/proc/%d/io", (int)child);
    FILE *file = fopen(path, "r");
    if (!file) return -1;
    while (fgets(line, sizeof line, file)) {
        size_t length = strlen(name);
        if (!strncmp(line, name, length) && line[length] == ':') value = atoll(line + length + 1);
    }
    fclose(file);
    return value;
}

int main(int argc, char **argv) {
    const char *root = NULL;
    unsigned seconds = 600;
    int option;
    while ((option = getopt(argc, argv, "+r:t:")) != -1) {
        if (option == 'r') root = optarg;
        else if (option == 't') seconds = (unsigned)atoi(optarg);
        else return 2;
    }
    if (argc - optind < 3) return 2;
    char **command = argv + optind + 2;
    signal(SIGALRM, too_late);
    long long begin = now();
    child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        open_as(argv[optind], 1);
        open_as(argv[optind + 1], 2);
        if (root && (chroot(root) || chdir("/"))) fail(root);
        execvp(command[0], command);
        fail(command[0]);
    }
    alarm(seconds);
    siginfo_t ended;
    while (waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT)) {}
    long long wall = now() - begin, characters = counted("rchar"), bytes = counted("read_bytes");
    struct rusage used;
    int status;
    if (wait4(child, &status, 0, &used) != child) fail("wait4");
    printf("%lld %lld %lld %ld %lld %lld %d\n", wall,
           used.ru_utime.tv_sec * 1000000LL + used.ru_utime.tv_usec,
           used.ru_stime.tv_sec * 1000000LL + used.ru_stime.tv_usec, used.ru_maxrss, characters, bytes,
           WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    return 0;
}
