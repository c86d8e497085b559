// Stands in for nixpkgs' switch-to-configuration: makes the same calls to the system in the same order, for a host whose
// units are those of a generation's etc/systemd/system. It is one program for all generations, in a store path of its
// own, run by each generation's wrapper, and learns from the environment what it is to activate.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARENT "__NIXOS_SWITCH_TO_CONFIGURATION_PARENT_EXE"
#define UNITS "/etc/systemd/system"
#define MOST 128

enum { FAILED_EARLY = 1, FAILED_ACTIVATION = 2, FAILED_UNITS = 4, NEEDS_REBOOT = 100 };

// Units, by what is to be done with them.
struct list {
    const char *verb;
    char *names[MOST];
    int count;
};
static struct list stop = {"stop", {0}, 0}, start = {"start", {0}, 0}, restart = {"restart", {0}, 0},
                   reload = {"reload", {0}, 0};

static const char *needed(const char *name) {
    const char *value = getenv(name);
    if (!value) {
        fprintf(stderr, "switch-to-configuration: %s is not set\n", name);
        exit(FAILED_EARLY);
    }
    return value;
}

static int run(char *const arguments[]) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        execvp(arguments[0], arguments);
        fprintf(stderr, "%s: %s\n", arguments[0], strerror(errno));
        _exit(127);
    }
    if (child < 0) return 127;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return 127;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int systemctl(const char *verb, const char *argument) {
    char program[PATH_MAX];
    snprintf(program, sizeof program, "%s/bin/systemctl", needed("SYSTEMD"));
    return run((char *[]){program, (char *)verb, (char *)argument, NULL});
}

static int is_active(const char *unit) {
    char program[PATH_MAX];
    snprintf(program, sizeof program, "%s/bin/systemctl", needed("SYSTEMD"));
    return run((char *[]){program, "is-active", "--quiet", (char *)unit, NULL}) == 0;
}

static int act(const struct list *of) {
    char program[PATH_MAX];
    char *arguments[MOST + 4] = {program, (char *)of->verb, "--"};
    if (of->count == 0) return 0;
    snprintf(program, sizeof program, "%s/bin/systemctl", needed("SYSTEMD"));
    fprintf(stderr, "%sing the following units:", of->verb);
    for (int i = 0; i < of->count; i++) {
        arguments[3 + i] = of->names[i];
        fprintf(stderr, " %s", of->names[i]);
    }
    fprintf(stderr, "\n");
    return run(arguments);
}

static void add(struct list *to, const char *unit) {
    if (to->count < MOST) to->names[to->count++] = strdup(unit);
}

static char *contents(const char *directory, const char *unit) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, unit);
    FILE *file = fopen(path, "re");
    if (!file) return NULL;
    char *text = calloc(1, 1 << 16);
    size_t got = fread(text, 1, (1 << 16) - 1, file);
    text[got] = 0;
    fclose(file);
    return text;
}

// Whether a line of a unit is exactly this one.
static int says(const char *unit, const char *line) {
    size_t length = strlen(line);
    for (const char *at = unit; (at = strstr(at, line)); at += length)
        if ((at == unit || at[-1] == '\n') && (at[length] == '\n' || !at[length])) return 1;
    return 0;
}

// What becomes of the units that run now: those of the old generation decide about being taken away, those of the
// new one about everything else.
static void compare(const char *new_units) {
    DIR *directory = opendir(UNITS);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        const char *unit = entry->d_name;
        const char *dot = strrchr(unit, '.');
        if (!dot || (strcmp(dot, ".service") && strcmp(dot, ".target"))) continue;
        char *old = contents(UNITS, unit), *new = contents(new_units, unit);
        if (!old || !is_active(unit)) continue;
        if (!new) {
            if (!says(old, "X-StopOnRemoval=false")) add(&stop, unit);
        } else if (strcmp(old, new) == 0 || !strcmp(dot, ".target")) {
            continue;
        } else if (says(new, "X-ReloadIfChanged=true")) {
            add(&reload, unit);
        } else if (says(new, "X-RestartIfChanged=false") || says(new, "RefuseManualStop=true")) {
            fprintf(stderr, "NOT restarting the following changed units: %s\n", unit);
        } else if (says(new, "X-StopIfChanged=false")) {
            add(&restart, unit);
        } else {
            add(&stop, unit);
            add(&start, unit);
        }
    }
    if (directory) closedir(directory);
}

// Users that are logged in have their own manager told, by this program as themselves.
static void as_users(void) {
    char line[256];
    FILE *users = popen("loginctl list-users --no-legend", "re");
    while (users && fgets(line, sizeof line, users)) {
        uid_t uid = (uid_t)strtoul(line, NULL, 10);
        struct passwd *user = getpwuid(uid);
        if (!user || uid == 0) continue;
        pid_t child = fork();
        if (child == 0) {
            char self[PATH_MAX] = {0};
            if (readlink("/proc/self/exe", self, sizeof self - 1) < 0 || setgid(user->pw_gid) || setuid(uid)) _exit(1);
            clearenv();
            setenv(PARENT, self, 1);
            execl("/proc/self/exe", self, (char *)NULL);
            fprintf(stderr, "as %s: %s\n", user->pw_name, strerror(errno));
            _exit(1);
        }
        int status = 0;
        waitpid(child, &status, 0);
        if (status) fprintf(stderr, "reloading the units of %s failed\n", user->pw_name);
    }
    if (users) pclose(users);
}

int main(int count, char *arguments[]) {
    if (getenv(PARENT)) {
        printf("reloading user units of %u\n", getuid());
        return 0;
    }
    const char *action = count == 2 ? arguments[1] : "";
    const char *const known[] = {"check", "switch", "boot", "test", "dry-activate"};
    size_t at = 0;
    while (at < 5 && strcmp(action, known[at])) at++;
    if (at == 5) {
        fprintf(stderr, "usage: %s check|switch|boot|test|dry-activate\n", arguments[0]);
        return FAILED_EARLY;
    }
    char *out = (char *)needed("OUT"), *toplevel = (char *)needed("TOPLEVEL");
    char *installer = (char *)needed("INSTALL_BOOTLOADER"), *check = (char *)needed("PRE_SWITCH_CHECK");
    needed("DISTRO_ID"), needed("LOCALE_ARCHIVE"), needed("SYSTEMD");
    char path[PATH_MAX];
    setenv("NIXOS_ACTION", action, 1);
    if (access("/etc/NIXOS", F_OK)) {
        fprintf(stderr, "This is not a NixOS installation!\n");
        return FAILED_EARLY;
    }
    mkdir("/run/nixos", 0755);
    int lock = open("/run/nixos/switch-to-configuration.lock", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB)) {
        fprintf(stderr, "Could not acquire lock\n");
        return FAILED_EARLY;
    }
    const char *unchecked = getenv("NIXOS_NO_CHECK");
    if (!unchecked || strcmp(unchecked, "1")) {
        if (run((char *[]){check, toplevel, (char *)action, NULL})) {
            fprintf(stderr, "Pre-switch checks failed\n");
            return FAILED_EARLY;
        }
    }
    if (!strcmp(action, "check")) return 0;
    if (!strcmp(action, "switch") || !strcmp(action, "boot")) {
        if (run((char *[]){installer, toplevel, NULL})) {
            fprintf(stderr, "Failed to install bootloader\n");
            return FAILED_EARLY;
        }
    }
    const char *unsynced = getenv("NIXOS_NO_SYNC");
    if (!unsynced || strcmp(unsynced, "1")) {
        int store = open("/nix/store", O_RDONLY | O_CLOEXEC);
        if (store >= 0) syncfs(store), close(store);
    }
    if (!strcmp(action, "boot")) return 0;

    char *before = contents("/run/current-system", "init-interface-version");
    char *after = contents(toplevel, "init-interface-version");
    if (!before || !after || strcmp(before, after)) {
        fprintf(stderr, "This configuration has changed the interface to init: reboot\n");
        return NEEDS_REBOOT;
    }
    snprintf(path, sizeof path, "%s/etc/systemd/system", toplevel);
    compare(path);
    if (!strcmp(action, "dry-activate")) {
        snprintf(path, sizeof path, "%s/dry-activate", out);
        execl(path, path, out, (char *)NULL);
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return FAILED_EARLY;
    }
    int result = 0;
    act(&stop);
    fprintf(stderr, "activating the configuration...\n");
    snprintf(path, sizeof path, "%s/activate", out);
    if (run((char *[]){path, out, NULL})) result = FAILED_ACTIVATION;
    systemctl("reset-failed", NULL);
    if (systemctl("daemon-reload", NULL)) result = FAILED_UNITS;
    as_users();
    if (systemctl("restart", "sysinit-reactivation.target")) result = FAILED_UNITS;
    // One that this generation brings, that its targets ask for.
    add(&start, "multi-user.target");
    if (act(&reload) | act(&restart) | act(&start)) result = FAILED_UNITS;
    fprintf(stderr, "finished switching to system configuration %s\n", toplevel);
    return result;
}
