//! G02, G03, G05: ways in, as shell scripts with `$T` for the toplevel and `$N` for its name.

use crate::host::Host;

/// By other names.
pub(crate) const NAMES: [&str; 11] = [
    "ln -sfn $T/bin/switch-to-configuration link; ./link switch",
    "ln -sfn $T profile; ./profile/bin/switch-to-configuration switch",
    "cd $T/bin && ./switch-to-configuration switch",
    "cd $STORE && ../store/$N/bin/../bin/switch-to-configuration switch",
    "exec 9<$T/nixos-version; cd $T; exec 8<.; /proc/self/fd/8/bin/switch-to-configuration switch",
    "ln -sfn $STORE/$(basename $(readlink $T/specialisation/one)) one; \
     ./one/bin/switch-to-configuration switch",
    "cd $STORE/$(basename $(readlink $T/specialisation/one)) && ./activate",
    "(sleep 0; exec $T/activate) & wait $!",
    "env -i TRACE=$TRACE STORE=$STORE PATH=$PATH $T/bin/switch-to-configuration switch",
    "setsid -w $T/bin/switch-to-configuration switch",
    "NIXOS_NO_CHECK=1 NIXOS_INSTALL_BOOTLOADER=1 $T/bin/switch-to-configuration boot",
];

/// Read by an interpreter, or copied.
pub(crate) const INTERPRETERS: [&str; 9] = [
    "bash $T/bin/switch-to-configuration switch",
    "sh $T/activate",
    ". $T/activate",
    "sh < $T/activate",
    "cat $T/activate | sh",
    "cp $T/activate $DIR/copy && sh $DIR/copy",
    "dd if=$T/activate status=none | sh -s",
    "/lib64/ld-linux-x86-64.so.2 $T/bin/apply $T/activate",
    "bash -c \"$(cat $T/dry-activate)\"",
];

/// In another mount namespace, under another name, or over the name of what is admitted.
pub(crate) const MOUNTS: [&str; 7] = [
    "unshare -m $T/bin/switch-to-configuration switch",
    "unshare -m sh -c 'mount --bind $T $GOOD && exec $GOOD/bin/switch-to-configuration switch'",
    "unshare -m sh -c 'mount --bind $T/activate $GOOD/activate && exec $GOOD/activate'",
    "unshare -m sh -c 'mkdir -p $DIR/x && mount --bind $T $DIR/x && exec $DIR/x/activate'",
    "unshare -mpf --mount-proc $T/bin/switch-to-configuration switch",
    "unshare -Ur $T/activate",
    "mkdir -p $DIR/jail; unshare -m sh -c 'mount --rbind / $DIR/jail && \
     exec chroot $DIR/jail $T/bin/switch-to-configuration switch'",
];

/// Through another file system: Linux raises the event on the file below.
pub(crate) const OVERLAYS: [&str; 3] = [
    "mkdir -p $DIR/o $DIR/empty; unshare -m sh -c 'mount -t overlay overlay -o \
     lowerdir=$STORE:$DIR/empty $DIR/o && exec $DIR/o/$N/bin/switch-to-configuration switch'",
    "mkdir -p $DIR/o $DIR/empty; unshare -m sh -c 'mount -t overlay overlay -o \
     lowerdir=$STORE:$DIR/empty $DIR/o && exec sh $DIR/o/$N/activate'",
    "mkdir -p $DIR/up $DIR/work; unshare -m sh -c 'mount -t overlay overlay -o \
     lowerdir=$T,upperdir=$DIR/up,workdir=$DIR/work $GOOD && exec $GOOD/activate'",
];

/// Without `O_PATH` the opening itself is asked about; with it, the execution.
pub(crate) const DESCRIPTOR: &str = "exec 9<$T/activate; /proc/self/fd/9";

/// Open without the daemon, shut with it, and open for what is admitted.
pub(crate) fn assert_shut(host: &mut Host, attacks: &[&str]) {
    let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
    for attack in attacks {
        let done = host.run(attack, &evil);
        assert!(done.trace.contains("evil"), "control, without the daemon: {attack}: {done:#?}");
    }
    host.guard();
    let mut open = Vec::new();
    for attack in attacks {
        let done = host.run(attack, &evil);
        if !done.was_refused() {
            open.push(format!("{attack}: {done:#?}"));
        }
        let done = host.run(attack, &good);
        if !done.trace.contains("good") {
            open.push(format!("control, admitted: {attack}: {done:#?}"));
        }
    }
    assert!(open.is_empty(), "{}", open.join("\n"));
}
