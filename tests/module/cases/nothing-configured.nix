# Files put into /etc/narwarden by hand.
{
  services.narwarden.enable = true;
}
