# Imported, and not enabled: nothing changes.
{
  services.narwarden.settings.policy.require.default = "ci";
}
