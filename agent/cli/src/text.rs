//! A report on one screen.

use crate::terminal::{BAD, DIM, GOOD, NOTE, STRONG, counted, grouped, plain};
use indicatif::HumanBytes;
use narwarden_core::reason::Reason;
use narwarden_core::report::{Answer, Limit, Report, ReportFinding};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How many findings to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// A few of each reason.
    FirstOfEach,
    /// All of them.
    Everything,
}

const FIRST: usize = 4;

/// The whole report. Writing to a string cannot fail, so results are dropped.
pub(crate) fn verdict(report: &Report, detail: Detail) -> String {
    let mut out = String::new();
    let (style, word) = match (report.verdict, report.limits.is_empty()) {
        (Answer::Deny, _) => (BAD, "DENY"),
        (Answer::Admit, true) => (GOOD, "ADMIT"),
        (Answer::Admit, false) => (NOTE, "NOTHING FOUND"),
    };
    let _ = writeln!(out, "{style}{word}{style:#}  {STRONG}{}{STRONG:#}", report.subject);
    for limit in &report.limits {
        let _ = writeln!(out, "  {NOTE}{}{NOTE:#}", limit_text(*limit));
    }
    let _ = writeln!(out, "  {}", size(report));
    if let Some(vouched) = vouched(report) {
        let _ = writeln!(out, "  {vouched}");
    }
    let _ = writeln!(out, "  {DIM}{}{DIM:#}", rules(report));
    findings(&mut out, &report.findings, detail);
    out
}

fn limit_text(limit: Limit) -> &'static str {
    match limit {
        Limit::SignaturesOnly => {
            "signatures only: no file was read, so nothing is known about the bytes"
        }
        Limit::PathOnly => "this path only: what it refers to was not judged",
    }
}

fn size(report: &Report) -> String {
    let paths = counted(report.closure.paths, "path");
    let seconds = report.measured.seconds;
    let sealed = match report.measured.sealed_paths {
        0 => String::new(),
        count => format!(", {count} unchanged since they were hashed"),
    };
    match report.measured.hashed_bytes {
        0 => format!("{paths}, nothing hashed{sealed}, {seconds:.2} s"),
        bytes => format!("{paths}, {} hashed in {seconds:.2} s{sealed}", HumanBytes(bytes)),
    }
}

fn vouched(report: &Report) -> Option<String> {
    let mut parts = Vec::new();
    if report.vouched.signature > 0 {
        parts.push(format!("{} by signature", grouped(report.vouched.signature)));
    }
    if report.vouched.content_address > 0 {
        parts.push(format!("{} by content address", grouped(report.vouched.content_address)));
    }
    if parts.is_empty() {
        return None;
    }
    let keys: Vec<_> =
        report.keys.iter().map(|(id, count)| format!("{id} {}", grouped(*count))).collect();
    let keys = if keys.is_empty() { String::new() } else { format!("; keys: {}", keys.join(", ")) };
    Some(format!("vouched for: {}{keys}", parts.join(", ")))
}

fn rules(report: &Report) -> String {
    let short = |digest: &str| digest.chars().take(12).collect::<String>();
    format!(
        "trust set version {} ({}), policy {}",
        report.rules.trust_version,
        short(&report.rules.trust_digest),
        short(&report.rules.policy_digest)
    )
}

fn findings(out: &mut String, findings: &[ReportFinding], detail: Detail) {
    let mut groups: BTreeMap<(&str, Reason), Vec<&ReportFinding>> = BTreeMap::new();
    for finding in findings {
        groups.entry((finding.severity, finding.reason)).or_default().push(finding);
    }
    for ((severity, reason), group) in groups {
        let style = if severity == "deny" { BAD } else { NOTE };
        let count = if group.len() > 1 { format!(" ({})", group.len()) } else { String::new() };
        let _ = writeln!(out, "\n{style}{}{style:#}{count}  {}", reason.code(), reason.meaning());
        let shown = match detail {
            Detail::FirstOfEach => FIRST,
            Detail::Everything => usize::MAX,
        };
        for finding in group.iter().take(shown) {
            let _ = writeln!(out, "  {}", finding.store_path);
            let _ = writeln!(out, "    {}", plain(&finding.detail));
            if finding.chain.len() > 2 {
                let _ = writeln!(out, "    {DIM}via{DIM:#} {}", chain(finding));
            }
        }
        if group.len() > shown {
            let _ = writeln!(out, "  {DIM}… and {} more: --all{DIM:#}", group.len() - shown);
        }
        if let Some(first) = group.first() {
            let _ = writeln!(out, "  {STRONG}next:{STRONG:#} {}", first.next);
        }
    }
}

fn chain(finding: &ReportFinding) -> String {
    let mut names: Vec<_> = finding.chain.iter().map(|path| name(path).to_owned()).collect();
    if finding.chain_omitted > 0 {
        names.insert(1, format!("… {} more …", grouped(finding.chain_omitted.into())));
    }
    names.join(" → ")
}

/// The name of a store path, which says more to people than its hash.
pub(crate) fn name(path: &str) -> &str {
    path.rsplit('/').next().and_then(|base| base.get(33..)).unwrap_or(path)
}
