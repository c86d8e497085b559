//! The dates an operator writes, as moments.
//!
//! A date without a time means the whole day in UTC: what begins on it begins with it, what ends on it
//! ends when the day is over. A time must say its offset (RFC 3339, section 5.6), since a host's own time
//! zone may change.

use crate::diagnostic::Remarks;
use jiff::Timestamp;
use jiff::civil;
use toml::Spanned;
use toml::value::Datetime;

/// Which end of a date without a time is meant.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// Midnight before the day.
    Beginning,
    /// Midnight after the day.
    End,
}

/// The moment that `written` names; what cannot be one is remarked on.
#[must_use]
pub fn moment(written: &Spanned<Datetime>, end: End, remarks: &mut Remarks) -> Option<Timestamp> {
    let text = written.as_ref().to_string();
    let parsed = if written.as_ref().offset.is_some() {
        text.parse::<Timestamp>().ok()
    } else if written.as_ref().time.is_none() {
        text.parse::<civil::Date>().ok().and_then(|date| midnight(date, end))
    } else {
        None
    };
    if parsed.is_none() {
        remarks.error(
            written.span(),
            format!("`{text}` is no moment that every host agrees on"),
            "write a date (2027-06-01) or a time with its offset (2027-06-01T00:00:00Z)",
        );
    }
    parsed
}

fn midnight(date: civil::Date, end: End) -> Option<Timestamp> {
    let day = match end {
        End::Beginning => date,
        End::End => date.tomorrow().ok()?,
    };
    jiff::tz::TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok()
}
