# As much of nixpkgs' `lib` as the module uses, so that any Nix can evaluate it where nixpkgs cannot
# be had. It is stricter where it differs: what it does not know is an error. With NIXPKGS_LIB, the
# same tests run on the real one.
let
  inherit (builtins)
    all
    any
    attrNames
    concatLists
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    functionArgs
    head
    intersectAttrs
    isAttrs
    isBool
    isFloat
    isFunction
    isInt
    isList
    isPath
    isString
    length
    listToAttrs
    mapAttrs
    match
    removeAttrs
    stringLength
    substring
    tail
    toJSON
    ;

  showOption = concatStringsSep ".";
  optional = condition: value: if condition then [ value ] else [ ];
  filterAttrs =
    keep: set:
    genAttrs (filter (name: keep name set.${name}) (attrNames set)) (name: set.${name});
  genAttrs =
    names: value:
    listToAttrs (
      map (name: {
        inherit name;
        value = value name;
      }) names
    );
  names = sets: attrNames (foldl' (a: b: a // b) { } sets);

  # --- definitions ---

  is = kind: value: isAttrs value && value._type or "" == kind;
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  defaultPriority = 100;

  # Conditions go down with what they are about, and are asked where a value is.
  pushDown =
    value:
    if is "merge" value then
      concatMap pushDown value.contents
    else if is "if" value then
      map (mapAttrs (_: mkIf value.condition)) (pushDown value.content)
    else if is "override" value then
      map (mapAttrs (_: mkOverride value.priority)) (pushDown value.content)
    else
      [ value ];

  # [ { priority, value } ]
  discharge =
    value:
    if is "merge" value then
      concatMap discharge value.contents
    else if is "if" value then
      if value.condition then discharge value.content else [ ]
    else if is "override" value then
      map (it: it // { inherit (value) priority; }) (discharge value.content)
    else
      [
        {
          priority = defaultPriority;
          inherit value;
        }
      ];

  strongest =
    found:
    let
      least = foldl' (a: b: if a < b.priority then a else b.priority) 9999 found;
    in
    map (it: it.value) (filter (it: it.priority == least) found);

  # The value of one place, of what all modules say about it.
  evalValue =
    path: type: definitions:
    let
      values = strongest (concatMap discharge definitions);
      wrong = filter (value: !type.check value) values;
    in
    if values == [ ] then
      throw "The option `${showOption path}' was accessed but has no value defined."
    else if wrong != [ ] then
      throw ''
        A definition for option `${showOption path}' is not of type `${type.description}': ${toJSON (head wrong)}
      ''
    else
      type.merge path values;

  evalOption =
    path: option: definitions:
    let
      default = optional (option ? default) (mkOverride 1500 option.default);
      value = evalValue path (option.type or types.raw) (default ++ definitions);
    in
    if option.readOnly or false && length definitions > 1 then
      throw "The option `${showOption path}' is read-only, but it's set multiple times."
    else
      (option.apply or (it: it)) value;

  evalTree =
    path: freeform: options: definitions:
    let
      sets = concatMap pushDown definitions;
      given = name: concatMap (set: optional (set ? ${name}) set.${name}) sets;
      known = mapAttrs (
        name: option:
        if is "option" option then
          evalOption (path ++ [ name ]) option (given name)
        else
          evalTree (path ++ [ name ]) freeform option (given name)
      ) options;
      unknown = filter (name: !(options ? ${name})) (names sets);
      free = freeform.merge path [ (genAttrs unknown (name: mkMerge (given name))) ];
    in
    if unknown == [ ] then
      known
    else if freeform == null then
      throw "The option `${showOption (path ++ [ (head unknown) ])}' does not exist."
    else
      free // known;

  mergeOptions =
    path: sets:
    genAttrs (names sets) (
      name:
      let
        found = concatMap (set: optional (set ? ${name}) set.${name}) sets;
      in
      if length found == 1 then
        head found
      else if any (is "option") found then
        throw "The option `${showOption (path ++ [ name ])}' is declared twice."
      else
        mergeOptions (path ++ [ name ]) found
    );

  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
    }:
    let
      load =
        module:
        let
          it = if isPath module || isString module then import module else module;
          set = if isFunction it then it (intersectAttrs (functionArgs it) arguments) else it;
          short = !(set ? options || set ? config);
        in
        concatMap load (set.imports or [ ])
        ++ [
          {
            file = if isPath module || isString module then toString module else null;
            options = set.options or { };
            freeform = set.freeformType or null;
            config = set.config or (if short then removeAttrs set syntax else { });
          }
        ];
      syntax = [
        "freeformType"
        "imports"
      ];
      arguments = specialArgs // {
        inherit config options lib;
      };
      # A file that several import is one module.
      once =
        seen: it:
        if it.file != null && any (other: other.file == it.file) seen then seen else seen ++ [ it ];
      loaded = foldl' once [ ] (concatMap load modules);
      freeform = foldl' (a: b: if b.freeform != null then b.freeform else a) null loaded;
      options = mergeOptions prefix (map (it: it.options) loaded);
      config = evalTree prefix freeform options (map (it: it.config) loaded);
    in
    {
      inherit config options;
    };

  # --- types ---

  mergeEqual =
    path: values:
    if all (value: value == head values) values then
      head values
    else
      throw "The option `${showOption path}' has conflicting definition values.";

  plain = description: check: {
    inherit description check;
    merge = mergeEqual;
    subOptions = { };
  };

  # For documentation: the options of what is listed or named.
  below = step: type: if type.subOptions == { } then { } else { ${step} = type.subOptions; };

  types = rec {
    raw = plain "raw value" (_: true) // {
      merge = path: values: head values;
    };
    anything = raw;
    bool = plain "boolean" isBool;
    int = plain "signed integer" isInt;
    float = plain "floating point number" isFloat;
    str = plain "string" isString;
    path = plain "absolute path" (
      value: isPath value || (isString value && substring 0 1 value == "/") || value ? outPath
    );
    package = plain "package" (value: isAttrs value && value ? outPath);
    ints = {
      unsigned = plain "unsigned integer, meaning >=0" (value: isInt value && value >= 0);
      positive = plain "positive integer, meaning >0" (value: isInt value && value > 0);
    };
    enum =
      values: plain "one of ${concatStringsSep ", " (map toJSON values)}" (value: elem value values);
    strMatching =
      pattern:
      plain "string matching ${pattern}" (value: isString value && match pattern value != null);

    nullOr = type: {
      description = "null or ${type.description}";
      check = value: value == null || type.check value;
      merge =
        path: values: if all (value: value == null) values then null else type.merge path values;
      inherit (type) subOptions;
    };
    either = a: b: {
      description = "${a.description} or ${b.description}";
      check = value: a.check value || b.check value;
      merge =
        path: values: if all a.check values then a.merge path values else b.merge path values;
      subOptions = { };
    };
    oneOf = all: foldl' either (head all) (tail all);
    listOf = type: {
      description = "list of ${type.description}";
      check = isList;
      merge =
        path: values: map (value: evalValue (path ++ [ "*" ]) type [ value ]) (concatLists values);
      subOptions = below "*" type;
    };
    attrsOf = type: {
      description = "attribute set of ${type.description}";
      check = isAttrs;
      merge =
        path: values:
        let
          sets = concatMap pushDown values;
          # A definition whose condition does not hold is none.
          defined = name: concatMap discharge (given name) != [ ];
          given = name: concatMap (set: optional (set ? ${name}) set.${name}) sets;
          value = name: evalValue (path ++ [ name ]) type (given name);
        in
        genAttrs (filter defined (names sets)) value;
      subOptions = below "<name>" type;
    };
    submodule =
      module:
      let
        eval =
          prefix: definitions:
          evalModules {
            modules = [ module ] ++ definitions;
            inherit prefix;
          };
      in
      {
        description = "submodule";
        check = value: isAttrs value || isFunction value;
        merge = path: values: (eval path (map (config: { inherit config; }) values)).config;
        subOptions = (eval [ ] [ ]).options;
      };
  };

  lib = {
    inherit
      evalModules
      filter
      filterAttrs
      mkIf
      mkMerge
      optional
      types
      ;
    mkDefault = mkOverride 1000;
    mkForce = mkOverride 50;
    mkOption = option: option // { _type = "option"; };
    mkEnableOption =
      what:
      lib.mkOption {
        type = types.bool;
        default = false;
        description = "Whether to enable ${what}.";
      };
    literalExpression = text: {
      _type = "literalExpression";
      inherit text;
    };
    concatStringsSep = concatStringsSep;
    concatMapStringsSep = separator: f: values: concatStringsSep separator (map f values);
    mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
    optionalAttrs = condition: set: if condition then set else { };
    boolToString = value: if value then "true" else "false";
    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    splitString = separator: text: filter isString (builtins.split (escape separator) text);
    versionAtLeast = a: b: builtins.compareVersions a b >= 0;
    getExe = package: "${package}/bin/${package.meta.mainProgram}";
  };
  escape = builtins.replaceStrings [ "." ] [ "[.]" ];
in
lib
