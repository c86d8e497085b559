// The first process of a guest, in its initramfs: loads what the disk needs, mounts it, reads the boot menu that the
// last boot loader installer wrote, and becomes `init` of the generation that the menu begins with. As of an initrd,
// what it runs comes before any daemon.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what) {
    fprintf(stderr, "VM-BOOT-FAILED %s: %s\n", what, strerror(errno));
    exit(1); // the kernel panics, and the runner sees why
}

// A line of a file, without its end.
static char *line_of(const char *path, char *into, size_t size) {
    FILE *file = fopen(path, "re");
    if (!file || !fgets(into, (int)size, file)) die(path);
    fclose(file);
    into[strcspn(into, "\n")] = 0;
    return into;
}

int main(void) {
    char name[4096];
    FILE *modules = fopen("/modules/order", "re");
    if (!modules) die("/modules/order");
    while (fgets(name, sizeof name, modules)) {
        name[strcspn(name, "\n")] = 0;
        int fd = open(name, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || syscall(SYS_finit_module, fd, "", 0)) die(name);
        close(fd);
    }
    if (mount("dev", "/dev", "devtmpfs", 0, "mode=755")) die("devtmpfs");
    for (int tries = 0; access("/dev/vda", F_OK) && tries < 1000; tries++) usleep(10000);
    if (mount("/dev/vda", "/root", "ext4", MS_NOATIME, "")) die("/dev/vda");
    if (mount("/dev", "/root/dev", NULL, MS_MOVE, NULL)) die("moving /dev");
    char toplevel[4096], init[4200];
    line_of("/root/boot/loader/default", toplevel, sizeof toplevel);
    snprintf(init, sizeof init, "%s/init", toplevel);
    if (chdir("/root") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/")) die("the new root");
    int console = open("/dev/console", O_RDWR);
    if (console >= 0) {
        for (int fd = 0; fd < 3; fd++) dup2(console, fd);
        if (console > 2) close(console);
    }
    printf("VM-BOOT %s\n", toplevel);
    fflush(stdout);
    execl(init, init, (char *)NULL);
    die(init);
}
