"""Every field of trust.toml and policy.toml has an option of its own, and every such option is a field."""

import re

DOCUMENTS = {
    "trust": (
        "agent/core/src/trust/document.rs",
        {"Document": [""], "Key": ["keys.<name>."], "Role": ["roles.<name>."]},
    ),
    "policy": (
        "agent/core/src/policy/document.rs",
        {
            "Document": [""],
            "Require": ["require."],
            "Rule": ["require.rule.*."],
            "Deny": ["deny.*."],
            "Release": ["release."],
            "Gate": ["gate."],
            # A requirement is one type; its description says how it is written.
            "Compound": [],
        },
    ),
}


def known(text, structs):
    """The fields that the program reads, as option names below `settings.trust` or `settings.policy`."""
    found, unplaced = set(), []
    for name, body in re.findall(r"struct (\w+) \{(.*?)\n\}", text, re.S):
        if "rename_all = \"kebab-case\"" not in text:
            unplaced.append("fields are no longer written in kebab-case")
        if name not in structs:
            unplaced.append(f"struct {name} is at no place that this test knows")
        for field in re.findall(r"pub\(super\) (?:r#)?(\w+):", body):
            for place in structs.get(name, []):
                found.add(place + field.replace("_", "-"))
    return found, unplaced


def compare(fields, options, kind):
    prefix = f"services.narwarden.settings.{kind}."
    names = {option["name"].removeprefix(prefix) for option in options if option["name"].startswith(prefix)}
    return [f"{kind}: `{name}` has no option" for name in sorted(fields - names)] + [
        f"{kind}: the option `{name}` is no field" for name in sorted(names - fields)
    ]


def check(root, options, report):
    for kind, (path, structs) in DOCUMENTS.items():
        fields, problems = known((root / path).read_text(), structs)
        report.add(
            f"the {len(fields)} fields of {kind}.toml are options",
            "\n".join(problems + compare(fields, options, kind)) or None,
        )
        unseen = [one for one in fields if not compare(fields - {one}, options, kind)]
        unseen += [one for one in fields if not compare(fields, [o for o in options if not o["name"].endswith("." + one)], kind)]
        report.add(f"a field of {kind}.toml without an option is seen", unseen and f"not so: {unseen}")
    bare = [option["name"] for option in options if not option["description"].strip()]
    report.add(f"{len(options)} options are described", bare and f"not so: {bare}")
