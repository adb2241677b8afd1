//! Completion through kubectl: it runs `kubectl_complete-atelier` with the words typed so far, and reads one candidate a
//! line, then a line that says whether files are candidates too.

use std::ffi::OsString;

use clap::{Arg, Command, CommandFactory as _, ValueHint};

use crate::args::Cli;
use crate::failure::Failure;
use crate::output;

/// The first argument that asks for it. The name is the one kubectl's own library uses.
pub const COMMAND: &str = "__complete";

/// Prints the candidates for the last word.
pub fn run(words: &[OsString]) -> Result<(), Failure> {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
    output::print(&candidates(&words).render())
}

/// What may come next.
#[derive(Debug, Default, PartialEq)]
struct Candidates {
    /// Words, each with what it means.
    words: Vec<(String, String)>,
    /// Whether files may come too.
    files: bool,
}

impl Candidates {
    fn render(&self) -> String {
        let lines: String = (self.words.iter())
            .map(|(word, about)| match about.as_str() {
                "" => format!("{word}\n"),
                about => format!("{word}\t{about}\n"),
            })
            .collect();
        // 0: the shell's own completion too. 4: no files.
        format!("{lines}:{}\n", if self.files { 0 } else { 4 })
    }

    fn of_values(arg: &Arg, prefix: &str) -> Self {
        let values = arg.get_possible_values();
        let visible = values.iter().filter(|value| !value.is_hide_set());
        Self {
            words: visible
                .filter(|value| value.get_name().starts_with(prefix))
                .map(|value| (value.get_name().into(), about(value.get_help())))
                .collect(),
            files: arg.get_value_hint() == ValueHint::FilePath,
        }
    }
}

fn candidates(words: &[&str]) -> Candidates {
    let mut root = Cli::command();
    root.build();
    let (last, before) = words.split_last().unwrap_or((&"", &[]));
    let mut command = &root;
    let mut positional = 0;
    let mut pending: Option<&Arg> = None;
    for word in before {
        if pending.take().is_some() {
            // The value of the flag before it.
        } else if word.starts_with('-') && word.len() > 1 {
            pending = flag(command, word).filter(|arg| arg.get_action().takes_values());
        } else if let Some(next) = command.find_subcommand(word) {
            (command, positional) = (next, 0);
        } else {
            positional += 1;
        }
    }
    if let Some(arg) = pending {
        return Candidates::of_values(arg, last);
    }
    if last.starts_with('-') {
        return flags(command, last);
    }
    let mut found = match command.get_positionals().nth(positional) {
        Some(arg) => Candidates::of_values(arg, last),
        None => Candidates::default(),
    };
    let commands = command.get_subcommands();
    let visible = commands.filter(|next| !next.is_hide_set() && next.get_name().starts_with(last));
    found.words.extend(visible.map(|next| {
        let name = next.get_name().to_owned();
        (name, about(next.get_about()))
    }));
    found
}

/// The flag that a word names, if its value is in the next word.
fn flag<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| {
        let long = arg.get_long().map(|long| format!("--{long}"));
        let short = arg.get_short().map(|short| format!("-{short}"));
        long.as_deref() == Some(word) || short.as_deref() == Some(word)
    })
}

fn flags(command: &Command, prefix: &str) -> Candidates {
    let visible = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let words = visible.filter_map(|arg| {
        let word = format!("--{}", arg.get_long()?);
        word.starts_with(prefix)
            .then(|| (word, about(arg.get_help())))
    });
    Candidates {
        words: words.collect(),
        files: false,
    }
}

fn about(text: Option<&clap::builder::StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<String> {
        let found = candidates(words).words;
        found.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn commands_are_completed() {
        assert!(names(&[""]).contains(&"keys".to_owned()));
        assert_eq!(names(&["ke"]), ["keys"]);
        assert_eq!(names(&["keys", "l"]), ["list"]);
        assert_eq!(names(&["-n", "keys", "wh"]), ["why"]);
        assert_eq!(names(&[]).len(), names(&[""]).len());
    }

    #[test]
    fn values_are_completed_where_there_is_a_choice() {
        assert_eq!(names(&["keys", "regenerate", "digits", "p"]), ["primary"]);
        assert_eq!(
            names(&["logs", "digits", "--container", ""]),
            ["model", "gateway"]
        );
        assert_eq!(names(&["why", "first", "-o", "j"]), ["json"]);
    }

    #[test]
    fn flags_are_completed_and_files_where_a_file_is_meant() {
        assert_eq!(names(&["logs", "digits", "--fol"]), ["--follow"]);
        assert_eq!(names(&["logs", "digits", "--names"]), ["--namespace"]);
        assert!(candidates(&["score", "digits", "-f", ""]).files);
        assert!(!candidates(&["score", ""]).files);
    }

    #[test]
    fn candidates_are_printed_as_kubectl_reads_them() {
        let text = candidates(&["keys", "li"]).render();
        assert!(text.starts_with("list\t"), "{text}");
        assert!(text.ends_with("\n:4\n"), "{text}");
    }
}
