# A specialisation is a toplevel of its own, and is proven with the generation whose closure holds it.
{
  name = "narwarden-specialisation";

  story.next.specialisation.other.configuration.environment.etc."other".text = "the other one";

  story.script = ''
    other = f"{new}/specialisation/other"
    refused(activate(other), "unsigned")
    sign(running, new)
    admitted(other)
    machine.succeed("test -e /etc/other")
  '';
}
