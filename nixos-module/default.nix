# services.narwarden: lets the kernel refuse the activation of generations that nothing vouches for.
{ ... }:
{
  imports = [
    ./options.nix
    ./rules.nix
    ./service.nix
    ./advice.nix
    ./provenance.nix
  ];

  meta = {
    doc = ./doc.md;
    maintainers = [ ];
  };
}
