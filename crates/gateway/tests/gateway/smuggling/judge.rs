//! Compares what the clients saw, what the gateway recorded, and what the model gives account of. The three have to
//! tell the same.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::{
    backends::Account,
    client::Answer,
    corpus::{Body, Case, End},
};

/// A run of the corpus, from all sides.
pub struct Run<'a> {
    pub cases: &'a [Case],
    /// By the case's id.
    pub answers: &'a HashMap<String, Vec<Answer>>,
    /// How many harmless requests were answered.
    pub harmless: usize,
    pub records: Vec<Value>,
    pub accounts: Vec<Account>,
    /// As whom the clients are known to the gateway.
    pub subject: Option<&'a str>,
    pub key: &'a str,
}

impl Run<'_> {
    /// All that does not fit together.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.strangers();
        problems.extend(self.cases_that_came_to_something_else());
        problems.extend(self.statuses_that_were_not_recorded());
        problems
    }

    /// What the model saw that the gateway did not let in and record as it was, and the other way round.
    pub fn strangers(&self) -> Vec<String> {
        let mut problems = self.accounts_without_their_record();
        problems.extend(self.records_without_their_account());
        problems.extend(self.accounts.iter().filter_map(|one| self.leak(one)));
        problems
    }

    /// What the model saw and the gateway does not know of.
    fn accounts_without_their_record(&self) -> Vec<String> {
        let mut by_id: HashMap<&str, Vec<&Value>> = HashMap::new();
        for record in &self.records {
            by_id
                .entry(text(record, "RequestId"))
                .or_default()
                .push(record);
        }
        let wrong = |account: &Account| {
            let records = by_id.get(account.header("x-request-id"));
            let [record] = records.map(Vec::as_slice).unwrap_or_default() else {
                return Some(format!("{records:?}"));
            };
            let path = account.target.split('?').next();
            let length = account.body.as_deref().map(<[u8]>::len);
            let completed = text(record, "outcome") == "Completed";
            let same = text(record, "HTTPMethod") == account.method
                && Some(text(record, "name")) == path
                && text(record, "UserAgent") == account.header("user-agent")
                && record["subject"].as_str() == self.subject
                && !record["modelMs"].is_null()
                && (!completed
                    || length.is_none_or(|length| record["bytesIn"] == length))
                // What the client did not finish the gateway does not finish for it.
                && account.whole == (completed || text(record, "outcome") == "ClientAborted" && account.whole);
            (!same).then(|| record.to_string())
        };
        let accounts = self.accounts.iter();
        let pairs = accounts.filter_map(|account| Some((account, wrong(account)?)));
        pairs
            .map(|(account, records)| {
                format!("the model saw {account:?}, and recorded is {records}")
            })
            .collect()
    }

    /// What the gateway says it forwarded and the model has not seen, or seen twice.
    fn records_without_their_account(&self) -> Vec<String> {
        let mut seen: HashMap<&str, u32> = HashMap::new();
        for account in &self.accounts {
            *seen.entry(account.header("x-request-id")).or_default() += 1;
        }
        let forwarded = self.records.iter().filter(|one| !one["modelMs"].is_null());
        let wrong = forwarded.filter(|record| {
            match (seen.get(text(record, "RequestId")), text(record, "outcome")) {
                (Some(1), _) => false,
                // Broken off before the model had all of its header, or before it noticed.
                (None, "BadRequest" | "ClientAborted") => false,
                _ => true,
            }
        });
        wrong
            .map(|record| format!("not seen by the model: {record}"))
            .collect()
    }

    /// Cases of which the model saw other requests than it should.
    fn cases_that_came_to_something_else(&self) -> Vec<String> {
        let wrong = |case: &&Case| {
            let seen = self.accounts.iter();
            let seen = seen.filter(|one| one.whole && one.header("user-agent") == case.id);
            let seen: Vec<_> = seen.collect();
            let ids: HashSet<_> = seen.iter().map(|one| one.header("x-request-id")).collect();
            let expected: Vec<_> = case
                .answers
                .iter()
                .filter_map(|one| one.forwarded.as_ref())
                .collect();
            let answers = self.answers.get(&case.id).map(Vec::as_slice);
            let pairs = case.answers.iter().zip(answers.unwrap_or_default());
            let mut answered = pairs.filter(|(expected, _)| expected.forwarded.is_some());
            // The models answer with the id of what they were asked.
            let own = answered.all(|(_, answer)| {
                ids.contains(answer.id.as_str()) && answer.body == answer.id.as_bytes()
            });
            let same = seen.len() == expected.len()
                && seen.iter().zip(expected).all(|(account, body)| match body {
                    Body::Any => true,
                    Body::Exactly(body) => account.body.as_deref() == Some(body),
                });
            case.end != End::Left && !(own && same)
        };
        let wrong = self.cases.iter().filter(wrong);
        wrong
            .map(|case| format!("{} {}: the model saw something else", case.id, case.name))
            .collect()
    }

    /// Whether what the clients were told is what the records say.
    fn statuses_that_were_not_recorded(&self) -> Option<String> {
        let mut told: BTreeMap<u64, usize> = BTreeMap::new();
        for case in self.cases {
            // Health is not recorded, and leave to send is no answer.
            for expected in case
                .answers
                .iter()
                .filter(|one| one.status != 100 && (one.status != 200 || one.forwarded.is_some()))
            {
                *told.entry(expected.status.into()).or_default() += 1;
            }
        }
        *told.entry(200).or_default() += self.harmless;
        let left: HashSet<_> = self
            .cases
            .iter()
            .filter(|case| matches!(case.end, End::Gone | End::Left))
            .map(|case| case.id.as_str())
            .collect();
        let mut recorded: BTreeMap<u64, usize> = BTreeMap::new();
        for record in &self.records {
            if !left.contains(text(record, "UserAgent")) {
                let status = record["StatusCode"].as_u64().unwrap_or_default();
                *recorded.entry(status).or_default() += 1;
            }
        }
        (told != recorded).then(|| format!("told {told:?}, recorded {recorded:?}"))
    }

    /// What of a request should have stayed with the gateway.
    fn leak(&self, account: &Account) -> Option<String> {
        let ours = ["x-request-id", "x-ms-request-id", "x-ms-client-request-id"];
        let mut subjects = Vec::new();
        for (name, value) in &account.headers {
            // As scripts take it.
            let taken = name.to_ascii_lowercase().replace('_', "-");
            let stays = match taken.as_str() {
                "x-atelier-subject" => {
                    subjects.push(value.as_str());
                    name != "x-atelier-subject"
                }
                "authorization"
                | "x-api-key"
                | "proxy-authorization"
                | "x-hidden"
                | "connection"
                | "proxy-connection"
                | "keep-alive"
                | "te"
                | "trailer"
                | "upgrade"
                | "http2-settings"
                | "expect" => true,
                "transfer-encoding" | "content-length" | "host" => *name != taken,
                taken => taken.starts_with("x-atelier-") || ours.contains(&taken) && name != taken,
            };
            if stays || value.contains(self.key) {
                return Some(format!("{name}: {value} reached the model: {account:?}"));
            }
        }
        let twice = |name: &&str| {
            let lines = account.headers.iter();
            lines.filter(|(found, _)| found == name).count() > 1
        };
        if subjects != Vec::from_iter(self.subject) || ours.iter().any(twice) {
            return Some(format!("as somebody else: {account:?}"));
        }
        None
    }
}

fn text<'a>(record: &'a Value, member: &str) -> &'a str {
    record[member].as_str().unwrap_or_default()
}
