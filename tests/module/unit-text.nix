# A service as systemd reads it.
{ lib }:
let
  word = value: if builtins.isBool value then lib.boolToString value else toString value;
  lines =
    name: value:
    if builtins.isList value then
      map (one: "${name}=${word one}") value
    else if value == null then
      [ ]
    else
      [ "${name}=${word value}" ];
  section =
    name: values:
    lib.concatStringsSep "\n" (
      [ "[${name}]" ] ++ builtins.concatLists (lib.mapAttrsToList lines values)
    );
  order = key: value: lib.optionalAttrs (value != [ ]) { ${key} = lib.concatStringsSep " " value; };
in
kind: unit: config: extra:
lib.concatStringsSep "\n\n" [
  (section "Unit" (
    unit.unitConfig
    // order "Description" (lib.optional (unit.description != "") unit.description)
    // order "Documentation" unit.documentation
    // order "Wants" unit.wants
    // order "After" unit.after
    // order "Before" unit.before
    // order "Conflicts" unit.conflicts
    // extra.unit or { }
  ))
  (section kind (extra.service or { } // config))
  (section "Install" (order "WantedBy" unit.wantedBy))
]
+ "\n"
