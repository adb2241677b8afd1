//! The authorities of an installation, and the Secret that keeps them.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde::{Deserialize, Serialize};

use crate::authority::Authority;
use crate::error::Error;
use crate::life::Life;
use crate::verify;

const STATE: &str = "state.json";
const PREVIOUS: &str = "previous.crt";
const CURRENT: (&str, &str) = ("current.crt", "current.key");
const NEXT: (&str, &str) = ("next.crt", "next.key");

type Data = BTreeMap<String, ByteString>;

/// The authorities of an installation. All of them are trusted; one signs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorities {
    /// PEM of the certificate of the one that signed before. It has no key any more.
    pub previous: Option<String>,
    /// The one that signs.
    pub current: Option<Authority>,
    /// The one that will sign, once everybody trusts it.
    pub next: Option<Authority>,
}

#[derive(Default, Serialize, Deserialize)]
struct Lives {
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<Life>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Life>,
}

impl Authorities {
    /// PEM of all, the oldest first: promotion does not change it.
    pub fn bundle(&self) -> String {
        let certificate = |a: &Authority| a.certificate.clone();
        let all = [
            self.previous.clone(),
            self.current.as_ref().map(certificate),
            self.next.as_ref().map(certificate),
        ];
        all.into_iter().flatten().collect()
    }

    /// With this one to sign at once. The one before stays trusted for a while.
    pub fn with_first(self, first: Authority) -> Self {
        Self {
            previous: self.current.map(|a| a.certificate).or(self.previous),
            current: Some(first),
            next: None,
        }
    }

    /// With this one to sign next.
    pub fn with_next(self, next: Authority) -> Self {
        Self {
            next: Some(next),
            ..self
        }
    }

    /// With the next one signing.
    pub fn promoted(self) -> Self {
        match self.next {
            Some(next) => Self { next: None, ..self }.with_first(next),
            None => self,
        }
    }

    /// Without the previous one.
    pub fn without_previous(self) -> Self {
        Self {
            previous: None,
            ..self
        }
    }

    /// What the Secret has to hold.
    pub fn data(&self) -> Result<Data, serde_json::Error> {
        let life = |a: &Option<Authority>| a.as_ref().map(|a| a.life);
        let lives = Lives {
            current: life(&self.current),
            next: life(&self.next),
        };
        let mut data = Data::new();
        let mut put = |key: &str, value: String| {
            data.insert(key.to_owned(), ByteString(value.into_bytes()));
        };
        put(STATE, serde_json::to_string(&lives)?);
        if let Some(previous) = &self.previous {
            put(PREVIOUS, previous.clone());
        }
        for ((certificate, key), authority) in [(CURRENT, &self.current), (NEXT, &self.next)] {
            if let Some(authority) = authority {
                put(certificate, authority.certificate.clone());
                put(key, authority.key.0.clone());
            }
        }
        Ok(data)
    }

    /// What can be understood of a Secret, and what cannot. Of a current authority that cannot sign any more the
    /// certificate stays trusted, as the previous one's, because servers still have what it has signed.
    pub fn read(secret: &Secret) -> (Self, Vec<String>) {
        let empty = Data::new();
        let data = secret.data.as_ref().unwrap_or(&empty);
        let mut troubles = Vec::new();
        let lives = lives(data).unwrap_or_else(|error| {
            troubles.push(error.to_string());
            Lives::default()
        });
        let mut noted = |read: Result<Option<Authority>, Error>, what: &str| {
            read.unwrap_or_else(|error| {
                troubles.push(format!("{what}: {error}"));
                None
            })
        };
        let current = noted(authority(data, CURRENT, lives.current), "current");
        let next = noted(authority(data, NEXT, lives.next), "next");
        let remnant = current.is_none().then(|| certificate(data, CURRENT.0));
        let authorities = Self {
            previous: remnant.flatten().or_else(|| certificate(data, PREVIOUS)),
            current,
            next,
        };
        if troubles.is_empty() && authorities.data().ok().as_ref() != Some(data) {
            troubles.push("there is more or less in it than should be".into());
        }
        (authorities, troubles)
    }
}

fn text(data: &Data, key: &str) -> Option<String> {
    String::from_utf8(data.get(key)?.0.clone()).ok()
}

fn lives(data: &Data) -> Result<Lives, Error> {
    let state = text(data, STATE).ok_or(Error::Missing(STATE))?;
    Ok(serde_json::from_str(&state)?)
}

/// A certificate that can be trusted whether or not there is a key.
fn certificate(data: &Data, key: &str) -> Option<String> {
    text(data, key).filter(|pem| verify::roots(pem.as_bytes()).is_ok())
}

fn authority(
    data: &Data,
    keys: (&'static str, &'static str),
    life: Option<Life>,
) -> Result<Option<Authority>, Error> {
    let found = (text(data, keys.0), text(data, keys.1));
    if let ((None, None), None) = (&found, life) {
        return Ok(None);
    }
    let certificate = found.0.ok_or(Error::Missing(keys.0))?;
    let key = found.1.ok_or(Error::Missing(keys.1))?;
    let life = life.ok_or(Error::Missing(STATE))?;
    Authority::read(certificate, key, life).map(Some)
}

#[cfg(test)]
#[path = "store/tests.rs"]
mod tests;
