//! Helps, completions and the version: what needs no cluster.

use crate::kit::{command, end};

const COMMANDS: &[&[&str]] = &[
    &[],
    &["keys"],
    &["keys", "list"],
    &["keys", "show"],
    &["keys", "regenerate"],
    &["token"],
    &["score"],
    &["requests"],
    &["data"],
    &["logs"],
    &["why"],
    &["cancel"],
    &["credential"],
    &["credential", "store"],
    &["resync"],
    &["completion"],
    &["version"],
];

#[test]
fn every_help_is_the_one_that_was_looked_at() {
    let mut text = String::new();
    for words in COMMANDS {
        let help = end(command(&[words, &["--help"][..]].concat())).fine();
        assert!(help.contains("Usage: kubectl atelier"), "{help}");
        let title = [&["kubectl", "atelier"], *words].concat().join(" ");
        text.push_str(&format!("===== {title}\n{help}\n"));
    }
    let written = concat!(env!("CARGO_TARGET_TMPDIR"), "/help.txt");
    std::fs::write(written, &text).unwrap();
    assert!(
        text == include_str!("help.txt"),
        "the helps have changed; if they are meant to, copy {written} to tests/cli/help.txt"
    );
}

#[test]
fn every_command_has_a_help_that_was_looked_at() {
    for words in COMMANDS {
        let words = [&["__complete"], *words, &[""]].concat();
        for line in end(command(&words)).fine().lines() {
            let Some((name, _)) = line.split_once('\t') else {
                continue;
            };
            let path = [&words[1..words.len() - 1], &[name]].concat();
            let known = COMMANDS.contains(&path.as_slice());
            let value = matches!(name, "primary" | "secondary");
            assert!(known || value || name == "help", "{path:?}");
        }
    }
}

#[test]
fn every_shell_has_a_completion() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = end(command(&["completion", shell])).fine();
        assert!(script.contains("kubectl-atelier"), "{shell}");
        assert!(script.contains("regenerate"), "{shell}");
    }
    end(command(&["completion", "tcsh"])).failed(2);
}

#[test]
fn kubectl_can_ask_for_completions() {
    let out = end(command(&["__complete", "keys", "re"])).fine();
    assert!(out.starts_with("regenerate\t"), "{out}");
    assert!(out.ends_with(":4\n"), "{out}");
    assert_eq!(end(command(&["__complete", "--", "x"])).fine(), ":4\n");
    assert!(end(command(&["__complete"])).fine().contains("score\t"));
}

#[test]
fn the_version_is_the_crates() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        end(command(&["version"])).fine(),
        format!("Client Version: v{version}\n")
    );
    let json = end(command(&["version", "-o", "json"])).fine();
    assert!(json.contains(&format!("\"version\": \"v{version}\"")));
    assert_eq!(
        end(command(&["--version"])).fine(),
        format!("kubectl-atelier {version}\n")
    );
}
