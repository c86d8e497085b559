//! From a call to the warden's answer: which method, may this caller, are the parameters what they should be.

use super::service;
use crate::warden::{Again, Caller, PendingReport, Refusal, Warden};
use narwarden_core::interface::{
    Accept, Call, INTERFACE, LONGEST_REASON, MOST_VERDICTS, Observe, ObserveReply, Pin,
    QuarantineListReply, QuarantineName, SERVICE, Verdicts, VerdictsReply, Verify,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How many answers may be worked at, for root and for everybody else.
const WORKERS: usize = 2;
/// How long to wait for a worker, and for an answer. Work that takes longer goes on and is not waited for.
const LONGEST_WORK: Duration = Duration::from_secs(30);
/// How old a status may be that somebody other than root gets: asking often costs the warden nothing.
const FRESH: Duration = Duration::from_millis(100);
/// How much of a wrong name is sent back.
const LONGEST_ECHO: usize = 200;

/// What there is to send.
#[derive(Debug)]
pub(super) enum Answer {
    /// This.
    Now(Value),
    /// This, which may be longer than other answers.
    Long(Value),
    /// What arrives there.
    Later(PendingReport),
}

/// An error as it goes over the wire.
#[derive(Debug, PartialEq)]
pub(super) struct Fault {
    pub(super) name: String,
    pub(super) parameters: Value,
}

impl Fault {
    fn service(name: &str, parameter: &str, value: &str) -> Self {
        let value: String = value.chars().take(LONGEST_ECHO).collect();
        Self { name: format!("{SERVICE}.{name}"), parameters: json!({ parameter: value }) }
    }

    pub(super) fn interface_not_found(interface: &str) -> Self {
        Self::service("InterfaceNotFound", "interface", interface)
    }

    pub(super) fn method_not_found(method: &str) -> Self {
        Self::service("MethodNotFound", "method", method)
    }

    fn invalid_parameter(parameter: &str) -> Self {
        Self::service("InvalidParameter", "parameter", parameter)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let mut parameters = Map::new();
        if let Some((name, value)) = refusal.parameter() {
            parameters.insert(name.to_owned(), value.into());
        }
        Self { name: format!("{INTERFACE}.{}", refusal.name()), parameters: parameters.into() }
    }
}

/// Where calls are brought to the warden.
#[derive(Debug)]
pub(super) struct Desk<W> {
    warden: Arc<W>,
    for_root: Arc<Semaphore>,
    for_others: Arc<Semaphore>,
    status: Mutex<Option<(Instant, Value)>>,
}

impl<W: Warden> Desk<W> {
    pub(super) fn new(warden: Arc<W>) -> Self {
        Self {
            warden,
            for_root: Arc::new(Semaphore::new(WORKERS)),
            for_others: Arc::new(Semaphore::new(WORKERS)),
            status: Mutex::new(None),
        }
    }

    /// The answer to a call.
    pub(super) async fn answer(
        self: &Arc<Self>,
        call: Call<Value>,
        caller: Caller,
    ) -> Result<Answer, Fault> {
        if call.upgrade == Some(true) {
            return Err(Fault::invalid_parameter("upgrade"));
        }
        let parameters = call.parameters.unwrap_or(Value::Null);
        let (interface, name) = call.method.rsplit_once('.').unwrap_or((&call.method, ""));
        match interface {
            SERVICE => return service::answer(name, parameters).map(Answer::Now),
            INTERFACE => {}
            unknown => return Err(Fault::interface_not_found(unknown)),
        }
        let method = Method::named(name).ok_or_else(|| Fault::method_not_found(&call.method))?;
        match (method.access(), caller.uid) {
            (Access::Everybody, _) | (Access::Root, 0) => {}
            (Access::Root, _) => return Err(Refusal::PermissionDenied.into()),
        }
        self.work(method, parameters, caller).await
    }

    /// Asks the warden on a thread that may block. A panic there is an error here.
    async fn work(
        self: &Arc<Self>,
        method: Method,
        parameters: Value,
        caller: Caller,
    ) -> Result<Answer, Fault> {
        let workers = if caller.uid == 0 { &self.for_root } else { &self.for_others };
        let work = async {
            let worker = Arc::clone(workers).acquire_owned().await.map_err(|_| Refusal::Busy)?;
            let desk = Arc::clone(self);
            let work = tokio::task::spawn_blocking(move || {
                // Given back when the work is done, not when nobody waits for it any more.
                let _worker = worker;
                desk.ask(method, parameters, caller)
            });
            work.await.unwrap_or_else(|_| {
                Err(Refusal::refused("the warden failed at this: see its journal").into())
            })
        };
        tokio::time::timeout(LONGEST_WORK, work).await.unwrap_or_else(|_| Err(Refusal::Busy.into()))
    }

    fn ask(&self, method: Method, parameters: Value, caller: Caller) -> Result<Answer, Fault> {
        let warden = &*self.warden;
        match method {
            Method::Status => {
                let Nothing {} = parse(parameters)?;
                Ok(Answer::Now(self.status(caller)))
            }
            Method::Verdicts => {
                let Verdicts { limit } = parse(parameters)?;
                let limit = limit.and_then(|it| usize::try_from(it).ok()).unwrap_or(MOST_VERDICTS);
                let mut verdicts = warden.verdicts(limit.min(MOST_VERDICTS));
                verdicts.truncate(limit.min(MOST_VERDICTS));
                now(&VerdictsReply { verdicts })
            }
            Method::CheckReceipts => {
                let Nothing {} = parse(parameters)?;
                now(&warden.check_receipts(caller)?)
            }
            Method::Verify => {
                let Verify { target, force } = parse(parameters)?;
                let again = if force == Some(true) { Again::Always } else { Again::IfUnknown };
                Ok(Answer::Later(warden.verify(caller, &target, again)?))
            }
            Method::Reload => {
                let Nothing {} = parse(parameters)?;
                done(warden.reload(caller))
            }
            Method::Scrub => {
                let Nothing {} = parse(parameters)?;
                done(warden.scrub(caller))
            }
            Method::Observe => {
                let Observe { seconds, reason } = parse(parameters)?;
                if seconds == 0 {
                    return Err(Fault::invalid_parameter("seconds"));
                }
                if reason.trim().is_empty() || reason.chars().count() > LONGEST_REASON {
                    return Err(Fault::invalid_parameter("reason"));
                }
                let until = warden.observe(caller, Duration::from_secs(seconds), &reason)?;
                now(&ObserveReply { until: until.to_string() })
            }
            Method::EndObserve => {
                let Nothing {} = parse(parameters)?;
                done(warden.end_observe(caller))
            }
            Method::QuarantineList => {
                let Nothing {} = parse(parameters)?;
                now(&QuarantineListReply { entries: warden.quarantine_list()? })
            }
            Method::QuarantineShow => {
                let QuarantineName { name } = parse(parameters)?;
                now(&warden.quarantine_show(&name)?)
            }
            Method::QuarantineRelease => {
                let QuarantineName { name } = parse(parameters)?;
                done(warden.quarantine_release(caller, &name))
            }
            Method::QuarantineDrop => {
                let QuarantineName { name } = parse(parameters)?;
                done(warden.quarantine_drop(caller, &name))
            }
            Method::Proposal => {
                let Nothing {} = parse(parameters)?;
                Ok(Answer::Long(json(&warden.proposal(caller)?)?))
            }
            Method::Accept => {
                let Accept { what, digest } = parse(parameters)?;
                done(warden.accept(caller, what, &digest))
            }
            Method::Pin => {
                let Pin { trust_digest, policy_digest } = parse(parameters)?;
                done(warden.pin(caller, &trust_digest, &policy_digest))
            }
        }
    }

    fn status(&self, caller: Caller) -> Value {
        let fresh = || json(&self.warden.status().bounded()).unwrap_or(Value::Null);
        if caller.uid == 0 {
            return fresh();
        }
        let mut kept = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, status)) = &*kept
            && when.elapsed() < FRESH
        {
            return status.clone();
        }
        let status = fresh();
        *kept = Some((Instant::now(), status.clone()));
        status
    }
}

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Everybody,
    Root,
}

macro_rules! methods {
    ($($name:ident $access:ident,)*) => {
        /// A method of the interface.
        #[derive(Clone, Copy, Debug)]
        enum Method { $($name,)* }

        impl Method {
            fn named(name: &str) -> Option<Self> {
                match name { $(stringify!($name) => Some(Self::$name),)* _ => None }
            }

            fn access(self) -> Access {
                match self { $(Self::$name => Access::$access,)* }
            }

            #[cfg(test)]
            const ALL: &[(&str, Access)] = &[$((stringify!($name), Access::$access),)*];
        }
    };
}

methods! {
    Status Everybody,
    Verdicts Everybody,
    QuarantineList Everybody,
    QuarantineShow Everybody,
    CheckReceipts Root,
    Verify Root,
    Reload Root,
    Scrub Root,
    Observe Root,
    EndObserve Root,
    QuarantineRelease Root,
    QuarantineDrop Root,
    Proposal Root,
    Accept Root,
    Pin Root,
}

/// No parameters.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// The parameters of a method. Absent ones are an empty object.
pub(super) fn parse<P: DeserializeOwned>(parameters: Value) -> Result<P, Fault> {
    let parameters = match parameters {
        Value::Null => Value::Object(Map::new()),
        Value::Object(_) => parameters,
        // Which serde would take for the fields in their order.
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err(Fault::invalid_parameter("parameters"));
        }
    };
    serde_json::from_value(parameters).map_err(|error| {
        let text = error.to_string();
        let field = ["missing field `", "unknown field `"]
            .iter()
            .find_map(|start| text.strip_prefix(start)?.split('`').next());
        Fault::invalid_parameter(field.unwrap_or("parameters"))
    })
}

fn json(value: &impl Serialize) -> Result<Value, Fault> {
    serde_json::to_value(value)
        .map_err(|_| Refusal::refused("the answer cannot be written down").into())
}

fn now(value: &impl Serialize) -> Result<Answer, Fault> {
    json(value).map(Answer::Now)
}

fn done(result: Result<(), Refusal>) -> Result<Answer, Fault> {
    result?;
    Ok(Answer::Now(Value::Object(Map::new())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use narwarden_core::interface::DESCRIPTION;

    /// Every method is described, and the description says who may call it.
    #[test]
    fn the_description_and_the_table_name_the_same_methods() {
        let mut comment = String::new();
        let mut described = Vec::new();
        for line in DESCRIPTION.lines() {
            if let Some(text) = line.strip_prefix('#') {
                comment.push_str(text);
            } else if let Some(rest) = line.strip_prefix("method ") {
                let root = comment.contains("For uid 0.");
                let access = if root { Access::Root } else { Access::Everybody };
                described.push((rest.split('(').next().unwrap(), access));
                comment.clear();
            } else {
                comment.clear();
            }
        }
        let mut offered = Method::ALL.to_vec();
        offered.sort_by_key(|(name, _)| *name);
        described.sort_by_key(|(name, _)| *name);
        assert_eq!(offered, described);
    }
}
