//! `narwarden scrub`: has everything hashed again, whatever its seals say.

use crate::arguments::warden::Scrub as Arguments;
use crate::client::Client;
use crate::outcome::{Exit, Failure};
use crate::terminal;
use serde_json::{Value, json};

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let mut client = Client::connect(&arguments.socket.socket)?;
    let _: Value = client.call("Scrub", json!({}))?;
    terminal::print(
        "everything is hashed again, when there is nothing else to do\n  narwarden status shows how far it is\n",
    )?;
    Ok(Exit::Admitted)
}
