//! `credential store`: values go in, and no command brings them out.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use atelier_api::actions::{CredentialStorage, Kinded as _, StoredCredential};
use clap::{ArgGroup, Args, Subcommand, ValueHint};

use super::workspace;
use crate::args::GlobalArgs;
use crate::client::{Cluster, WORKSPACES, typed};
use crate::failure::Failure;
use crate::input;
use crate::names::Name;
use crate::output::{self, FormatArgs};
use crate::table::{Table, plain};

/// Arguments of `credential`.
#[derive(Debug, Args)]
pub struct CredentialArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: CredentialCommand,
}

/// What to do with credentials.
#[derive(Debug, Subcommand)]
pub enum CredentialCommand {
    /// Store a credential, or give it new values, and print the name of its Secret.
    Store(StoreArgs),
}

/// Arguments of `credential store`.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("values").required(true).multiple(true).args(["from_literal", "from_file", "from_stdin"])),
    after_help = "The name printed is the one that resources refer to. Values are text.\nOther users of \
        the machine may see those given with --from-literal while the command runs, and the\nshell may keep \
        them: the other two ways are better.\n\n\
        Examples:\n  \
        # A token from standard input; one newline at its end is left out\n  \
        pass registry/token | kubectl atelier credential store registry --from-stdin token\n\n  \
        # Two values, one from a file\n  \
        kubectl atelier credential store db --from-literal user=ml --from-file password=./password"
)]
pub struct StoreArgs {
    /// Name of the credential.
    pub name: Name,
    /// The workspace; without it, the only one of the namespace.
    #[arg(short, long, value_name = "WORKSPACE")]
    pub workspace: Option<Name>,
    /// A value given here; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub from_literal: Vec<Private>,
    /// A value in a file, under the file's name unless a key is given; may be repeated.
    #[arg(long, value_name = "[KEY=]FILE", value_hint = ValueHint::FilePath)]
    pub from_file: Vec<String>,
    /// A value that comes from standard input, under this key.
    #[arg(long, value_name = "KEY")]
    pub from_stdin: Option<String>,
    /// Form of the output.
    #[command(flatten)]
    pub output: FormatArgs,
}

/// Text that is not repeated. It is looked into after parsing: a parser's errors quote what they do not understand.
#[derive(Clone)]
pub struct Private(String);

impl FromStr for Private {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Private")
    }
}

/// Does what the arguments say.
pub async fn run(args: CredentialArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let CredentialCommand::Store(args) = args.command;
    let data = values(&args)?;
    let cluster = Cluster::open(global).await?;
    let workspace = workspace::named_or_only(&cluster, args.workspace).await?;
    let body = CredentialStorage {
        types: Some(CredentialStorage::types()),
        name: args.name.to_string(),
        data,
    };
    let answer = cluster
        .act(WORKSPACES, &workspace, "storecredential", Some(&body))
        .await?;
    let stored: StoredCredential = typed(&answer)?;
    let name = format!("secret/{}", plain(&stored.secret_name));
    output::answer(args.output.format, &answer, &name, |wide| {
        Ok(people(&stored, wide))
    })
}

fn people(stored: &StoredCredential, wide: bool) -> String {
    if !wide {
        return format!("{}\n", plain(&stored.secret_name));
    }
    let mut table = Table::new(["secret", "keys", "replaced"]);
    table.row([
        stored.secret_name.clone(),
        stored.keys.join(","),
        stored.replaced.to_string(),
    ]);
    table.render()
}

/// The values, wherever they come from. No error repeats one.
fn values(args: &StoreArgs) -> Result<BTreeMap<String, String>, Failure> {
    let mut values = BTreeMap::new();
    for Private(text) in &args.from_literal {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::Usage("--from-literal takes KEY=VALUE".into()))?;
        add(&mut values, key, value.to_owned())?;
    }
    for text in &args.from_file {
        let (key, path) = match text.split_once('=') {
            Some((key, path)) => (key, path),
            None => (file_name(text)?, text.as_str()),
        };
        let value = in_text(path, input::file_or_stdin(Path::new(path))?)?;
        add(&mut values, key, value)?;
    }
    if let Some(key) = &args.from_stdin {
        let mut value = in_text("standard input", input::stdin()?)?;
        // What `echo` adds belongs to no token.
        if value.ends_with('\n') {
            value.pop();
        }
        add(&mut values, key, value)?;
    }
    Ok(values)
}

fn add(values: &mut BTreeMap<String, String>, key: &str, value: String) -> Result<(), Failure> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if key.is_empty() || !key.chars().all(fits) {
        return Err(Failure::Usage(
            "a key holds only letters, digits, -, _ and .".into(),
        ));
    }
    match values.insert(key.into(), value) {
        None => Ok(()),
        Some(_) => Err(Failure::Usage(format!("the key {key} is given twice"))),
    }
}

fn file_name(path: &str) -> Result<&str, Failure> {
    Path::new(path)
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| Failure::Usage("--from-file takes [KEY=]FILE".into()))
}

fn in_text(what: &str, bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes)
        .map_err(|_| Failure::Usage(format!("{what} holds no text: credentials are UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(literals: &[&str]) -> StoreArgs {
        StoreArgs {
            name: "db".parse().unwrap(),
            workspace: None,
            from_literal: literals.iter().map(|text| text.parse().unwrap()).collect(),
            from_file: Vec::new(),
            from_stdin: None,
            output: FormatArgs {
                format: output::Format::Table,
            },
        }
    }

    #[test]
    fn a_value_may_hold_anything_after_the_first_equals_sign() {
        let values = values(&args(&["a=b=c", "d="])).unwrap();
        assert_eq!(values["a"], "b=c");
        assert_eq!(values["d"], "");
    }

    #[test]
    fn no_value_is_repeated() {
        for literals in [
            &["s3cret"][..],
            &["a=s3cret", "a=s3cret"],
            &["a b=s3cret"],
            &["=s3cret"],
        ] {
            let args = args(literals);
            assert!(!format!("{args:?}").contains("s3cret"));
            let failure = values(&args).unwrap_err();
            assert!(!failure.to_string().contains("s3cret"), "{failure}");
            assert!(matches!(failure, Failure::Usage(_)));
        }
    }
}
