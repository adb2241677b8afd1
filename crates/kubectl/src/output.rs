//! How answers are printed.

use std::io::{self, Write as _};

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::failure::Failure;

/// Form of an answer that is about one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For people, with more columns where there are more.
    Wide,
    /// What the server answered, as JSON.
    Json,
    /// What the server answered, as YAML.
    Yaml,
    /// Only the name.
    Name,
}

/// `-o` of commands whose answer has a name.
#[derive(Clone, Debug, Args)]
pub struct FormatArgs {
    /// Form of the output: table, wide, json, yaml or name.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Format::Table, value_name = "FORMAT", hide_possible_values = true)]
    pub format: Format,
}

/// Form of an answer that has no name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlainFormat {
    /// For people.
    Table,
    /// What the server answered, as JSON.
    Json,
    /// What the server answered, as YAML.
    Yaml,
}

/// `-o` of commands whose answer has no name of its own.
#[derive(Clone, Debug, Args)]
pub struct PlainFormatArgs {
    /// Form of the output: table, json or yaml.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = PlainFormat::Table, value_name = "FORMAT", hide_possible_values = true)]
    pub format: PlainFormat,
}

impl From<PlainFormat> for Format {
    fn from(format: PlainFormat) -> Self {
        match format {
            PlainFormat::Table => Self::Table,
            PlainFormat::Json => Self::Json,
            PlainFormat::Yaml => Self::Yaml,
        }
    }
}

/// Prints an answer in the form asked for. `people` writes the two forms for people; it is told whether the wide one
/// is meant.
pub fn answer(
    format: Format,
    answer: &Value,
    name: &str,
    people: impl FnOnce(bool) -> Result<String, Failure>,
) -> Result<(), Failure> {
    match format {
        Format::Table => print(&people(false)?),
        Format::Wide => print(&people(true)?),
        Format::Json => print(&json(answer)?),
        Format::Yaml => print(&yaml(answer)?),
        Format::Name => print(&format!("{name}\n")),
    }
}

/// JSON with kubectl's indentation.
fn json(value: &Value) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let form = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, form);
    serde::Serialize::serialize(value, &mut serializer).map_err(Failure::unprintable)?;
    bytes.push(b'\n');
    String::from_utf8(bytes).map_err(Failure::unprintable)
}

/// YAML.
pub fn yaml(value: &Value) -> Result<String, Failure> {
    let mut text = serde_saphyr::to_string(value).map_err(Failure::unprintable)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// Prints text.
pub fn print(text: &str) -> Result<(), Failure> {
    bytes(text.as_bytes())
}

/// Prints bytes as they are, and at once: whoever reads a stream waits for its last line too.
pub fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .map_err(Failure::Output)
}

/// Says something beside the output.
pub fn aside(text: &str) {
    aside_bytes(text.as_bytes());
}

/// Says something beside the output, as it came. That nobody listens is no failure.
pub fn aside_bytes(bytes: &[u8]) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(bytes);
    if !bytes.ends_with(b"\n") {
        let _ = stderr.write_all(b"\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_as_kubectl_does() {
        let value = serde_json::json!({"b": [1], "a": "x"});
        assert_eq!(
            json(&value).unwrap(),
            "{\n    \"a\": \"x\",\n    \"b\": [\n        1\n    ]\n}\n"
        );
    }

    #[test]
    fn yaml_ends_with_one_newline() {
        let text = yaml(&serde_json::json!({"a": "x"})).unwrap();
        assert_eq!(text, "a: x\n");
    }
}
