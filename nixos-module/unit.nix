# The unit, read from packaging/: one text for every distribution, with the reason for each line
# beside it there. What NixOS has options for becomes options, so that other modules can add to it.
{ lib }:
let
  # The lines `Key=value` of each section, in order. No line of ours continues on the next.
  parse =
    file:
    let
      lines = builtins.filter (line: line != "" && !lib.hasPrefix "#" line) (
        lib.splitString "\n" (builtins.readFile file)
      );
      step =
        state: line:
        let
          section = builtins.match "\\[([A-Za-z]+)]" line;
          assignment = builtins.match "([A-Za-z-]+)=(.*)" line;
        in
        if section != null then
          state // { current = builtins.head section; }
        else if assignment != null then
          state
          // {
            found = state.found ++ [
              {
                section = state.current;
                key = builtins.head assignment;
                value = builtins.elemAt assignment 1;
              }
            ];
          }
        else
          throw "${toString file}: neither a section nor an assignment: ${line}";
    in
    (builtins.foldl' step {
      current = null;
      found = [ ];
    } lines).found;

  # As systemd does: an empty assignment forgets what stood before; otherwise all count, where the
  # key is a list. None of ours that is no list is said twice, but for `single`.
  # `AmbientCapabilities=` is the only one whose emptiness is its value.
  keepsEmpty = [ "AmbientCapabilities" ];
  # Where one file says it and a drop-in says it anew.
  single = [ "Type" ];

  assign =
    values:
    { key, value, ... }:
    if value == "" && !builtins.elem key keepsEmpty then
      removeAttrs values [ key ]
    else if builtins.elem key single then
      values // { ${key} = [ value ]; }
    else
      values // { ${key} = (values.${key} or [ ]) ++ [ value ]; };

  # NixOS has systemd 253 or newer.
  all =
    parse ../packaging/narwardend.service
    ++ parse ../packaging/narwardend.service.d/50-systemd-253.conf;

  in' = name: builtins.foldl' assign { } (builtins.filter (entry: entry.section == name) all);

  only = values: if builtins.length values == 1 then builtins.head values else values;

  unit = in' "Unit";
  words = key: lib.splitString " " (lib.concatStringsSep " " unit.${key});
in
{
  description = builtins.head unit.Description;
  documentation = words "Documentation";
  wants = words "Wants";
  after = words "After";
  before = words "Before";
  conflicts = words "Conflicts";
  unitConfig = builtins.mapAttrs (_: only) (
    removeAttrs unit [
      "After"
      "Before"
      "Conflicts"
      "Description"
      "Documentation"
      "Wants"
    ]
  );
  # ExecStart= names the package; NixOS writes X-ReloadIfChanged= for an option of its own.
  serviceConfig = builtins.mapAttrs (_: only) (
    removeAttrs (in' "Service") [
      "ExecStart"
      "X-ReloadIfChanged"
    ]
  );
  reloadIfChanged = (in' "Service").X-ReloadIfChanged == [ "true" ];
  wantedBy = (in' "Install").WantedBy;
}
