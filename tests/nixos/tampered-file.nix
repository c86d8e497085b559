# All is signed; then one byte on the disk is another one. Nix goes on believing its database.
{
  name = "narwarden-tampered-file";

  story.script = ''
    sign(running, new)
    leaf = machine.succeed(f"readlink -f {new}/etc/next").strip()
    machine.succeed("mount -o remount,rw /nix/store")
    machine.succeed(f"printf x | dd of={leaf} conv=notrunc bs=1 count=1 && touch -d @1 {leaf}")

    machine.succeed(f"nix path-info {new}")
    refused(activate(new), "content-drift")

    with subtest("put right, it passes"):
        machine.succeed(f"printf t | dd of={leaf} conv=notrunc bs=1 count=1 && touch -d @1 {leaf}")
        admitted(new)
  '';
}
