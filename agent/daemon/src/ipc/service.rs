//! What every Varlink service says about itself: the interface `org.varlink.service`
//! (<https://varlink.org/Service>), on which `varlinkctl info` and `varlinkctl introspect` rest.

use super::dispatch::Fault;
use narwarden_core::interface::{DESCRIPTION, INTERFACE, SERVICE};
use serde::Deserialize;
use serde_json::{Value, json};

/// The interface itself.
const SERVICE_DESCRIPTION: &str = include_str!("service/org.varlink.service.varlink");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    interface: String,
}

/// Answers a method of this interface.
pub(super) fn answer(method: &str, parameters: Value) -> Result<Value, Fault> {
    match method {
        "GetInfo" => Ok(json!({
            "vendor": "narwarden",
            "product": "narwardend",
            "version": env!("CARGO_PKG_VERSION"),
            "url": "",
            "interfaces": [SERVICE, INTERFACE],
        })),
        "GetInterfaceDescription" => {
            let which: Which = super::dispatch::parse(parameters)?;
            let description = match which.interface.as_str() {
                INTERFACE => DESCRIPTION,
                SERVICE => SERVICE_DESCRIPTION,
                unknown => return Err(Fault::interface_not_found(unknown)),
            };
            Ok(json!({ "description": description }))
        }
        unknown => Err(Fault::method_not_found(&format!("{SERVICE}.{unknown}"))),
    }
}
