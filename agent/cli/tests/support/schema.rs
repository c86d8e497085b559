//! Whether JSON is what its schema says.

use serde_json::Value;
use std::collections::BTreeSet;

/// The part of JSON Schema 2020-12 that the schemas in `docs` use; any other word in them fails. Fields that they do
/// not describe are wrong too, here where there must be none.
pub(crate) fn conforms(value: &Value, schema: &Value, root: &Value, at: &str) {
    let nullable = schema["type"].as_array().is_some_and(|types| types.contains(&"null".into()));
    if nullable && value.is_null() {
        return;
    }
    for (word, rule) in schema.as_object().unwrap() {
        match word.as_str() {
            "$schema" | "$defs" | "title" | "description" => {}
            "$ref" => {
                let place = rule.as_str().unwrap().strip_prefix('#').unwrap();
                conforms(value, root.pointer(place).expect(place), root, at);
            }
            "type" => {
                let rule = rule.as_array().map_or(rule, |types| &types[0]);
                let is = match rule.as_str().unwrap() {
                    "array" => value.is_array(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_u64(),
                    "number" => value.is_number(),
                    "object" => value.is_object(),
                    "string" => value.is_string(),
                    other => panic!("{other}"),
                };
                assert!(is, "{at} is no {rule}: {value}");
            }
            "const" => assert_eq!(value, rule, "{at}"),
            "enum" => assert!(rule.as_array().unwrap().contains(value), "{at}: {value}"),
            "minimum" => assert!(value.as_f64() >= rule.as_f64(), "{at}: {value}"),
            "minLength" => assert!(value.as_str().unwrap().len() as u64 >= rule.as_u64().unwrap()),
            "minItems" => assert!(value.as_array().unwrap().len() as u64 >= rule.as_u64().unwrap()),
            "pattern" => matches(value.as_str().unwrap(), rule.as_str().unwrap(), at),
            "uniqueItems" => {
                let items = value.as_array().unwrap();
                let unique: BTreeSet<_> = items.iter().map(Value::to_string).collect();
                assert_eq!(unique.len(), items.len(), "{at}");
            }
            "items" => {
                for (place, item) in value.as_array().unwrap().iter().enumerate() {
                    conforms(item, rule, root, &format!("{at}[{place}]"));
                }
            }
            "required" => {
                for field in rule.as_array().unwrap() {
                    assert!(value.get(field.as_str().unwrap()).is_some(), "{at} has no {field}");
                }
            }
            "properties" => {
                for (field, value) in value.as_object().unwrap() {
                    let schema = rule.get(field).unwrap_or_else(|| panic!("{at}.{field}"));
                    conforms(value, schema, root, &format!("{at}.{field}"));
                }
            }
            "additionalProperties" => {
                for (field, value) in value.as_object().unwrap() {
                    conforms(value, rule, root, &format!("{at}.{field}"));
                }
            }
            other => panic!("the schema says {other}, which this test does not know"),
        }
    }
}

/// The names of all fields that a schema describes.
pub(crate) fn fields(schema: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (word, part) in schema.as_object().into_iter().flatten() {
        if word == "properties" {
            names.extend(part.as_object().unwrap().keys().cloned());
        }
        names.extend(fields(part));
    }
    names
}

/// The patterns of the schemas, which are three.
fn matches(text: &str, pattern: &str, at: &str) {
    let is = match pattern {
        p if p.starts_with("^/nix/store/") => {
            narwarden_core::store_path::StorePath::parse(text).is_ok()
        }
        "^[0-9a-f]{64}$" => {
            text.len() == 64
                && text.bytes().all(|it| it.is_ascii_digit() || matches!(it, b'a'..=b'f'))
        }
        p if p.ends_with("Z$") => text.parse::<jiff::Timestamp>().is_ok() && text.ends_with('Z'),
        other => panic!("{other}"),
    };
    assert!(is, "{at}: {text}");
}
