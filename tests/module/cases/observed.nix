# Two modules, one policy: observeUntil gives way to what the policy says itself.
{
  imports = [ ./minimal.nix ];
  services.narwarden.observeUntil = "2098-01-31";
}
