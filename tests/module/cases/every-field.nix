# Every field there is, with text that would break out of a string.
{
  services.narwarden = {
    enable = true;
    settings.trust = {
      version = 7;
      expires = "2099-06-01";
      keys = {
        ci = {
          public = "ci.demo.example-1:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=";
          operator = "they said \"us\"\\ \n[roles]";
          not-before = "2020-01-01T12:00:00+01:00";
          not-after = "2098-12-31T23:59:59.5Z";
        };
        "release.2" = {
          public = "release.demo.example-1:gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q=";
        };
        nixos = {
          public = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";
          community = true;
          revoked = "2026-01-01";
          reason = "2026-01-01";
        };
      };
      roles.both = {
        keys = [
          "ci"
          "release.2"
        ];
        threshold = 2;
      };
    };
    settings.policy = {
      mode = "observe";
      observe-until = "2098-01-31";
      require = {
        default = "ci";
        toplevel = {
          all = [
            "ci"
            {
              threshold = 1;
              of = [ "release.2" ];
            }
          ];
        };
        content-addressed = "signed";
        content-addressed-toplevel = false;
        weak-content-address = [
          "md5"
          "sha1"
          "executable-flat"
          "legacy-self-reference"
        ];
        metadata = "report";
        agent = "may-leave";
        rule = [
          {
            name = "linux-*";
            require = "both";
            content-addressed = "deny";
          }
          {
            name = "systemd-*";
            all = [
              "ci"
              "release.2"
            ];
          }
          {
            name = "nix-*";
            any = [
              "ci"
              { all = [ "both" ]; }
            ];
          }
          {
            name = "bash-*";
            threshold = 1;
            of = [
              "ci"
              "release.2"
            ];
          }
        ];
      };
      deny = [
        {
          name = "openssl-1.0.*";
          reason = "end of life";
        }
        {
          path = "/nix/store/y501v29fvhklb09jya1n81d6k209r3bp-systemd-259";
          reason = "withdrawn";
        }
        {
          nar-hash = "sha256:10sx4v2kd442sk6zqiylz01wxs9gkwpfnb66q7n8q9jgriga093b";
          reason = "withdrawn";
        }
      ];
      gate = {
        deadline = "30s";
        on-reject = "alert";
        observe-at-most = "2h";
        readers = [ "/run/current-system/sw/bin/restic" ];
        scope = "activation";
      };
      scrub.every = "30d";
      release.statement = "off";
    };
  };
}
