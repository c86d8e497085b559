# The types of trust.toml and policy.toml. What a field means is said by docs/trust.md and
# docs/policy.md; whether the whole can be used is asked of the program itself, at build.
{ lib, toml }:
let
  inherit (lib) mkOption types;

  table =
    options:
    types.submodule {
      freeformType = toml.type;
      inherit options;
    };

  # Not written into the file unless it is said: the program has the defaults.
  optional =
    type: description:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit description;
    };

  moment = types.strMatching toml.moment // {
    description = "date, or time with its offset";
  };

  requirement =
    types.either types.str (
      types.attrsOf (types.either types.ints.positive (types.listOf requirement))
    )
    // {
      description = "requirement";
    };

  requirements = types.listOf requirement;

  contentAddressed = types.enum [
    "recompute"
    "signed"
    "deny"
  ];
in
{
  inherit moment;

  trust = table {
    version = optional types.ints.unsigned "Your own number of this trust set. Once pinned, it must not fall.";
    expires = optional moment "From then on nothing new is admitted.";
    keys = mkOption {
      type = types.attrsOf (table {
        public = mkOption {
          type = types.str;
          example = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";
          description = "The public key, as `nix key convert-secret-to-public` prints it.";
        };
        operator = optional types.str "Who holds the secret half. Shown, and nothing else.";
        community = optional types.bool ''
          A cache that signs for everybody: never counts for a toplevel unless
          {option}`settings.policy.require.toplevel` names it.
        '';
        not-before = optional moment "Before it, signatures do not count.";
        not-after = optional moment "After it, signatures do not count.";
        revoked = optional moment "Signatures never count, whatever the date says. Keep the entry.";
        reason = optional types.str "Why it was revoked.";
      });
      default = { };
      description = "The keys, each by your own word for it.";
    };
    roles = mkOption {
      type = types.attrsOf (table {
        keys = mkOption {
          type = types.listOf types.str;
          description = "Whose signatures count.";
        };
        threshold = optional types.ints.positive "How many of them must have signed. One, unless said.";
      });
      default = { };
      description = "Roles, for the policy to ask for. `any` is built in: every key, one of them.";
    };
  };

  policy = table {
    mode = optional (types.enum [
      "enforce"
      "observe"
    ]) "Whether denials hold, or are written down only. Unsaid: observe for a week from the enrolment, then enforce.";
    observe-until = optional moment "When observing ends; only with `mode = \"observe\"`.";
    require = mkOption {
      type = table {
        default = mkOption {
          type = requirement;
          example = "ci";
          description = ''
            What a path must show that no rule matches: a key or role of the trust set, or
            `{ all = [ … ]; }`, `{ any = [ … ]; }`, `{ threshold = 2; of = [ … ]; }`.
          '';
        };
        toplevel = optional requirement "What the toplevel must show instead.";
        content-addressed = optional contentAddressed "What a content address is worth. `recompute`, unless said.";
        content-addressed-toplevel = optional types.bool "Whether a content address may vouch for the toplevel.";
        weak-content-address = optional (types.listOf (types.enum [
          "md5"
          "sha1"
          "executable-flat"
          "legacy-self-reference"
        ])) "Weak kinds of content address that are taken all the same.";
        metadata = optional (types.enum [
          "canonical"
          "report"
          "ignore"
        ]) "Metadata that Nix would not have left behind denies, is noted, or is not looked at.";
        agent = optional (types.enum [
          "keep"
          "may-leave"
        ]) "Whether a generation may take narwardend away, as `enable = false` does. `keep`, unless said.";
        rule = optional (types.listOf (table {
          name = mkOption {
            type = types.str;
            example = "linux-*";
            description = "Pattern on the name of the store path. `*` is any run of characters.";
          };
          require = optional requirement "What such a path must show. This, or one of the next three.";
          all = optional requirements "All of these.";
          any = optional requirements "One of these.";
          threshold = optional types.ints.positive "How many of {option}`of`.";
          of = optional requirements "Of which {option}`threshold` must be shown.";
          content-addressed = optional contentAddressed "The same as above, for such paths.";
        })) "Rules by name, in order: the first that fits is the only one that counts.";
      };
      default = { };
      description = "What a generation must show.";
    };
    deny = optional (types.listOf (table {
      path =
        optional types.str "This store path."
        // {
          # What is refused must not become part of what refuses it.
          apply = path: if path == null then null else builtins.unsafeDiscardStringContext path;
        };
      nar-hash = optional types.str "Any path with these contents.";
      name = optional types.str "Any path with such a name; a pattern.";
      reason = mkOption {
        type = types.str;
        description = "Why. Shown to whoever is refused.";
      };
    })) "What is refused whatever vouches for it. Each entry has one of `path`, `nar-hash` and `name`.";
    gate = mkOption {
      type = table {
        deadline = optional types.str "How long an activation waits for its verdict, `\"1s\"` to `\"85s\"`.";
        on-reject = optional (types.enum [
          "quarantine"
          "alert"
        ]) "What becomes of a refused generation.";
        observe-at-most = optional types.str "The longest that `narwarden observe` lasts. `\"0s\"` forbids it.";
        readers = optional (types.listOf types.str) ''
          Programs beside Nix that may read the entry points of what is not admitted, such as a
          backup: absolute paths.
        '';
        scope = optional (types.enum [ "activation" ]) "What needs an admission.";
      };
      default = { };
      description = "What the daemon does with a verdict.";
    };
    scrub = mkOption {
      type = table {
        every = optional types.str ''
          How often everything that a boot could run is hashed again, `"1h"` to `"90d"`; `"0s"` is
          never. A week, unless said.
        '';
      };
      default = { };
      description = "What the daemon does by itself.";
    };
    release = mkOption {
      type = table {
        statement = optional (types.enum [ "off" ]) "Release statements, which this version does not judge.";
      };
      default = { };
      description = "Release statements.";
    };
  };
}
