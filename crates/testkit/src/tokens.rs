//! A service's tokens, good and bad.

use atelier_api::gateway_policy::{Revoked, TokenRules};
use atelier_token::{Claims, SigningKey, Verifier};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

/// How long a token is good.
pub const LIFETIME: SignedDuration = SignedDuration::from_secs(3600);

/// Seconds after [`Issuer::new`]'s beginning of time.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("a valid time")
}

/// Signs tokens of one service.
pub struct Issuer {
    /// The key.
    pub key: SigningKey,
    /// When its tokens are made.
    pub now: Timestamp,
}

impl Issuer {
    /// One whose tokens are made at second 0.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self::since(at(0))
    }

    /// One whose tokens are made then.
    pub fn since(now: Timestamp) -> Self {
        Self {
            key: SigningKey::generate().expect("a key"),
            now,
        }
    }

    /// What its gateways go by.
    pub fn rules(&self, revoked: Revoked) -> TokenRules {
        TokenRules {
            audience: audience(),
            keys: vec![self.key.public().clone()],
            revoked,
        }
    }

    /// What judges its tokens.
    pub fn verifier(&self, revoked: Revoked) -> Verifier {
        Verifier::new(&self.rules(revoked))
    }

    /// What its tokens say.
    pub fn claims(&self) -> Claims {
        Claims::new("rita", audience(), "a-token".into(), self.now, LIFETIME)
    }

    /// A good token.
    pub fn token(&self) -> String {
        self.key.sign(&self.claims()).expect("signed")
    }

    /// The header of a good token.
    pub fn header(&self) -> String {
        json!({"typ": "JWT", "alg": "ES256", "kid": self.key.public().id}).to_string()
    }

    /// Signs what no issuer of ours would.
    pub fn sign(&self, header: &str, claims: &str) -> String {
        sign(&self.key, header, claims)
    }

    /// Tokens of which none may open anything, each with what is wrong with it.
    #[allow(clippy::too_many_lines)]
    pub fn bad_tokens(&self) -> Vec<(String, String)> {
        let issuer = self;
        let second = |second: i64| self.now.as_second() + second;
        let good = issuer.token();
        let parts: Vec<&str> = good.split('.').collect();
        let [head, body, signature] = parts.as_slice() else {
            panic!("three parts");
        };
        let header = issuer.header();
        let claims = serde_json::to_value(issuer.claims()).expect("writable");
        let text = claims.to_string();
        let mut bad: Vec<(String, String)> = vec![];
        let mut add = |why: &str, token: String| bad.push((why.to_owned(), token));

        // The form.
        for token in [
            "",
            ".",
            "..",
            "...",
            "a.b.c",
            "Bearer",
            "null",
            "{}",
            "atl_key",
            "\u{e9}.\u{e9}.\u{e9}",
        ] {
            add("no token", token.to_owned());
        }
        for (why, token) in [
            ("no signature", format!("{head}.{body}")),
            ("an empty signature", format!("{head}.{body}.")),
            ("no header", format!("{body}.{signature}")),
            ("an empty header", format!(".{body}.{signature}")),
            ("empty claims", format!("{head}..{signature}")),
            ("four parts", format!("{good}.{signature}")),
            ("five parts, as encrypted ones have", format!("{good}.a.b")),
            ("a blank before", format!(" {good}")),
            ("a blank behind", format!("{good} ")),
            ("a line's end", format!("{good}\n")),
            ("a zero", format!("{good}\0")),
            ("a quoted one", format!("\"{good}\"")),
            (
                "the parts turned round",
                format!("{signature}.{body}.{head}"),
            ),
            (
                "the claims twice",
                format!("{head}.{body}{body}.{signature}"),
            ),
            ("with padding", format!("{head}.{body}.{signature}==")),
            ("a comma", format!("{good},{good}")),
            ("percent-encoded", good.replace('.', "%2E")),
            ("upper case", good.to_uppercase()),
            ("lower case", good.to_lowercase()),
        ] {
            add(why, token);
        }

        // The signature: every byte of it turned, and other writings of it.
        let raw = URL_SAFE_NO_PAD.decode(signature).expect("base64");
        for place in 0..raw.len() {
            let mut other = raw.clone();
            other[place] ^= 1;
            let other = URL_SAFE_NO_PAD.encode(other);
            add("a bit of the signature", format!("{head}.{body}.{other}"));
        }
        let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
        let swapped = [&raw[32..], &raw[..32]].concat();
        let long = [raw.as_slice(), &[0]].concat();
        let der = [
            &[0x30, 0x44, 0x02, 0x20],
            &raw[..32],
            &[0x02, 0x20],
            &raw[32..],
        ]
        .concat();
        let mut ones = [0; 64];
        (ones[31], ones[63]) = (1, 1);
        for (why, other) in [
            ("a signature of zeros", zeros),
            ("a signature of ones", URL_SAFE_NO_PAD.encode(ones)),
            ("r and s swapped", URL_SAFE_NO_PAD.encode(swapped)),
            ("a byte more", URL_SAFE_NO_PAD.encode(&long)),
            ("a byte less", URL_SAFE_NO_PAD.encode(&raw[..63])),
            ("half of it", URL_SAFE_NO_PAD.encode(&raw[..32])),
            ("as DER", URL_SAFE_NO_PAD.encode(der)),
            ("in the other base64, padded", STANDARD.encode(&raw)),
            ("padded", URL_SAFE.encode(&raw)),
            (
                "in hexadecimal",
                raw.iter().map(|b| format!("{b:02x}")).collect(),
            ),
        ] {
            add(why, format!("{head}.{body}.{other}"));
        }

        // Header and claims changed without signing anew: a character at each of many places.
        for (part, other) in [(head, 0), (body, 1)] {
            for place in (0..part.len()).step_by(7) {
                let mut changed = part.as_bytes().to_vec();
                changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
                let changed = String::from_utf8(changed).expect("ASCII");
                let token = match other {
                    0 => format!("{changed}.{body}.{signature}"),
                    _ => format!("{head}.{changed}.{signature}"),
                };
                add("a character", token);
            }
        }

        // The header, signed by the right key.
        let kid = &issuer.key.public().id;
        for (why, header) in [
            ("no algorithm", json!({"typ": "JWT", "kid": kid})),
            ("none", json!({"typ": "JWT", "alg": "none", "kid": kid})),
            ("None", json!({"typ": "JWT", "alg": "None", "kid": kid})),
            ("HS256", json!({"typ": "JWT", "alg": "HS256", "kid": kid})),
            ("RS256", json!({"typ": "JWT", "alg": "RS256", "kid": kid})),
            ("PS256", json!({"typ": "JWT", "alg": "PS256", "kid": kid})),
            ("ES384", json!({"typ": "JWT", "alg": "ES384", "kid": kid})),
            ("EdDSA", json!({"typ": "JWT", "alg": "EdDSA", "kid": kid})),
            ("es256", json!({"typ": "JWT", "alg": "es256", "kid": kid})),
            (
                "a list of algorithms",
                json!({"typ": "JWT", "alg": ["ES256"], "kid": kid}),
            ),
            ("no type", json!({"alg": "ES256", "kid": kid})),
            (
                "another type",
                json!({"typ": "at+jwt", "alg": "ES256", "kid": kid}),
            ),
            ("jwt", json!({"typ": "jwt", "alg": "ES256", "kid": kid})),
            ("no key's name", json!({"typ": "JWT", "alg": "ES256"})),
            (
                "an unknown key's name",
                json!({"typ": "JWT", "alg": "ES256", "kid": "0"}),
            ),
            (
                "an empty key's name",
                json!({"typ": "JWT", "alg": "ES256", "kid": ""}),
            ),
            (
                "a path as key's name",
                json!({"typ": "JWT", "alg": "ES256", "kid": "../../dev/null"}),
            ),
            (
                "a number as key's name",
                json!({"typ": "JWT", "alg": "ES256", "kid": 1}),
            ),
            (
                "a key of its own",
                json!({"typ": "JWT", "alg": "ES256", "kid": kid,
                "jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}),
            ),
            (
                "a place to fetch keys",
                json!({"typ": "JWT", "alg": "ES256", "kid": kid, "jku": "https://evil.example"}),
            ),
            (
                "a certificate's place",
                json!({"typ": "JWT", "alg": "ES256", "kid": kid, "x5u": "https://evil.example"}),
            ),
            (
                "certificates",
                json!({"typ": "JWT", "alg": "ES256", "kid": kid, "x5c": ["AA=="]}),
            ),
            (
                "what must be understood",
                json!({"typ": "JWT", "alg": "ES256", "kid": kid, "crit": ["b64"], "b64": false}),
            ),
            (
                "nothing that must be understood",
                json!({"typ": "JWT", "alg": "ES256", "kid": kid, "crit": []}),
            ),
            (
                "unencoded claims",
                json!({"typ": "JWT", "alg": "ES256", "kid": kid, "b64": false}),
            ),
            (
                "a content type",
                json!({"typ": "JWT", "alg": "ES256", "kid": kid, "cty": "JWT"}),
            ),
            (
                "compressed",
                json!({"typ": "JWT", "alg": "ES256", "kid": kid, "zip": "DEF"}),
            ),
            (
                "encrypted",
                json!({"typ": "JWT", "alg": "ES256", "kid": kid, "enc": "A256GCM"}),
            ),
            (
                "something else",
                json!({"typ": "JWT", "alg": "ES256", "kid": kid, "more": 1}),
            ),
            ("a list", json!(["JWT", "ES256"])),
            ("a text", json!("ES256")),
            ("nothing", json!(null)),
        ] {
            add(
                &format!("header: {why}"),
                issuer.sign(&header.to_string(), &text),
            );
        }
        for (why, header) in [
            ("no JSON", "{".to_owned()),
            ("empty", String::new()),
            ("two", format!("{header}{header}")),
            (
                "the algorithm twice",
                header.replace("{", r#"{"alg":"none","#),
            ),
            (
                "the key's name twice",
                header.replace("{", r#"{"kid":"0","#),
            ),
            ("deep", format!("{}1{}", "[".repeat(200), "]".repeat(200))),
        ] {
            add(&format!("header: {why}"), issuer.sign(&header, &text));
        }

        // The claims, signed by the right key.
        let with = |name: &str, value: Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            claims.to_string()
        };
        let without = |name: &str| {
            let mut claims = claims.clone();
            claims.as_object_mut().expect("claims").remove(name);
            claims.to_string()
        };
        for name in ["iss", "sub", "aud", "iat", "nbf", "exp", "jti"] {
            add(&format!("no {name}"), issuer.sign(&header, &without(name)));
            for (why, value) in [
                ("null", json!(null)),
                ("true", json!(true)),
                ("a list", json!([])),
                ("a map", json!({})),
            ] {
                add(
                    &format!("{name} is {why}"),
                    issuer.sign(&header, &with(name, value)),
                );
            }
            let twice = text.replacen('{', &format!("{{\"{name}\":{},", claims[name]), 1);
            add(&format!("{name} twice"), issuer.sign(&header, &twice));
        }
        let end = claims["exp"].clone();
        for (why, name, value) in [
            ("another issuer", "iss", json!("atelier.example")),
            ("an issuer more", "iss", json!(["atelier.dev", "other"])),
            ("an empty issuer", "iss", json!("")),
            ("an issuer in upper case", "iss", json!("ATELIER.DEV")),
            ("another service", "aud", json!(["n/other", "the-uid"])),
            ("another namespace", "aud", json!(["m/svc", "the-uid"])),
            ("an earlier service", "aud", json!(["n/svc", "another-uid"])),
            ("the uid alone", "aud", json!(["the-uid"])),
            ("the name alone", "aud", json!("n/svc")),
            ("turned round", "aud", json!(["the-uid", "n/svc"])),
            ("one more", "aud", json!(["n/svc", "the-uid", "x"])),
            ("joined", "aud", json!("n/svc,the-uid")),
            ("expired", "exp", json!(second(0))),
            ("expired a minute ago", "exp", json!(second(-60))),
            ("long expired", "exp", json!(0)),
            ("before 1970", "exp", json!(-1)),
            ("an end as text", "exp", json!(end.to_string())),
            ("a broken end", "exp", json!(1.8e9)),
            ("an end beyond numbers", "exp", json!(1e30)),
            ("an end beyond 64 bits", "exp", json!(u64::MAX)),
            ("early", "nbf", json!(second(3600))),
            ("far too early", "nbf", json!(i64::MAX)),
            ("a begin as text", "nbf", json!("0")),
            ("a number for a name", "sub", json!(0)),
            ("a number for an id", "jti", json!(0)),
            ("a claim that we do not know", "scope", json!("admin")),
            ("somebody else's claim", "azp", json!("x")),
        ] {
            add(why, issuer.sign(&header, &with(name, value)));
        }
        for (why, claims) in [
            ("no JSON", "{".to_owned()),
            ("empty", String::new()),
            ("two", format!("{text}{text}")),
            ("a text", "\"rita\"".to_owned()),
            ("nothing", "null".to_owned()),
            ("deep", format!("{}1{}", "[".repeat(200), "]".repeat(200))),
        ] {
            add(&format!("claims: {why}"), issuer.sign(&header, &claims));
        }

        // By another key: under its own name, under ours, and by a shared secret that is our public key.
        let other = SigningKey::generate().expect("a key");
        add("another key", other.sign(&issuer.claims()).expect("signed"));
        add("another key in our name", sign(&other, &header, &text));
        let hmac = jsonwebtoken::EncodingKey::from_secret(issuer.key.public().point.as_bytes());
        let mut shared = jsonwebtoken::Header::new(Algorithm::HS256);
        shared.kid = Some(kid.clone());
        let by_hmac = jsonwebtoken::encode(&shared, &issuer.claims(), &hmac);
        add("by HMAC with the public key", by_hmac.expect("signed"));
        let unsigned =
            URL_SAFE_NO_PAD.encode(json!({"typ": "JWT", "alg": "none", "kid": kid}).to_string());
        add("unsigned", format!("{unsigned}.{body}."));
        bad
    }
}

fn audience() -> [String; 2] {
    ["n/svc".to_owned(), "the-uid".to_owned()]
}

fn sign(key: &SigningKey, header: &str, claims: &str) -> String {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.pkcs8());
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = pair
        .expect("a key")
        .sign(&SystemRandom::new(), message.as_bytes())
        .expect("signed");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}
