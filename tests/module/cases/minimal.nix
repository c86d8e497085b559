# The least there is to say.
{
  services.narwarden = {
    enable = true;
    settings.trust.keys.ci.public = "ci.demo.example-1:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=";
    settings.policy.require.default = "ci";
  };
}
