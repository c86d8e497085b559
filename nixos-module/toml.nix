# TOML as the two files are written by hand: one `[table]` a section, `[[section.name]]` for what is
# listed in order, everything below inline.
#
# nixpkgs' formats.toml cannot write dates, and a date in quotes is refused by the program. Done at
# evaluation, it also builds nothing, and can be tested by any Nix.
{ lib }:
let
  inherit (lib) types;

  # A day, or a time with its offset.
  moment = "[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2}))?";

  # Under these names one is written without quotes.
  moments = [
    "expires"
    "not-after"
    "not-before"
    "observe-until"
    "revoked"
  ];
  isMoment = name: text: builtins.elem name moments && builtins.match moment text != null;

  delete = builtins.fromJSON ''"\u007f"'';

  # JSON's escapes are TOML's, which wants DEL escaped too.
  string = text: builtins.replaceStrings [ delete ] [ "\\u007f" ] (builtins.toJSON text);

  key = name: if builtins.match "[A-Za-z0-9_-]+" name != null then name else string name;

  # Null is "unsaid": the program's own default holds, and stands in one place.
  said = lib.filterAttrs (_: value: value != null);

  pair = name: value: "${key name} = ${inline name value}";

  inline =
    name: value:
    if builtins.isString value then
      if isMoment name value then value else string value
    else if builtins.isList value then
      "[${lib.concatMapStringsSep ", " (inline "") value}]"
    else if builtins.isAttrs value then
      let
        pairs = lib.mapAttrsToList pair (said value);
      in
      if pairs == [ ] then "{ }" else "{ ${lib.concatStringsSep ", " pairs} }"
    else if builtins.isPath value then
      string (toString value)
    else
      builtins.toJSON value;

  isTables = value: builtins.isList value && value != [ ] && builtins.all builtins.isAttrs value;

  lines =
    values: lib.concatStringsSep "" (lib.mapAttrsToList (name: value: "${pair name value}\n") values);

  tables = path: entries: map (entry: "[[${path}]]\n${lines (said entry)}") entries;

  each = f: set: builtins.concatLists (lib.mapAttrsToList f set);

  section =
    name: values:
    let
      lists = lib.filterAttrs (_: isTables) values;
      rest = lib.filterAttrs (_: value: !isTables value) values;
      # The lists imply the section.
      head = if rest == { } then [ ] else [ "[${key name}]\n${lines rest}" ];
    in
    head ++ each (entry: tables "${key name}.${key entry}") lists;

  render =
    document:
    let
      all = said document;
      scalars = lib.filterAttrs (_: value: !(builtins.isAttrs value || isTables value)) all;
      sections = lib.filterAttrs (_: builtins.isAttrs) all;
      lists = lib.filterAttrs (_: isTables) all;
    in
    lib.concatStringsSep "\n" (
      (if scalars == { } then [ ] else [ (lines scalars) ])
      ++ each (name: values: section name (said values)) sections
      ++ each (name: tables (key name)) lists
    );

  value =
    types.oneOf [
      types.bool
      types.int
      types.float
      types.str
      types.path
      (types.attrsOf value)
      (types.listOf value)
    ]
    // {
      description = "TOML value";
    };
in
{
  inherit moment render;

  # For what a newer program knows and this module does not: whether it does is asked at build.
  type = types.attrsOf value;
}
