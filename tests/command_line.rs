//! What a package installs beside the program says what the program can do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::collections::BTreeSet;

use certsift::config::Config;
use support::{certsift, repository};

/// Commands of the help text, one level deep.
fn commands() -> BTreeSet<String> {
    let output = certsift(&repository(""), &["--help"]);
    let help = String::from_utf8(output.stdout).unwrap();
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_has_a_page_and_stands_in_the_readme_and_in_completions() {
    let folder = tempfile::tempdir().unwrap();
    assert!(certsift(folder.path(), &["man", "--dir", "."]).status.success());
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let readme = std::fs::read_to_string(repository("README.md")).unwrap();
    let commands = commands();
    assert!(commands.contains("run") && commands.len() > 7, "{commands:?}");
    let scripts: Vec<_> = ["bash", "zsh", "fish"]
        .map(|shell| String::from_utf8(certsift(folder.path(), &["completions", shell]).stdout).unwrap())
        .into();
    for command in &commands {
        let page = read(&format!("certsift-{command}.1"));
        assert!(page.contains(&format!("certsift\\-{command}")), "{page:.200}");
        assert!(read("certsift.1").contains(&format!("certsift\\-{command}")), "{command}");
        assert!(readme.contains(&format!("`certsift {command}")), "the README does not tell of {command}");
        assert!(scripts.iter().all(|script| script.contains(command)), "{command}");
    }
    // Commands below commands have theirs, and `help` has none.
    assert!(read("certsift-state-show.1").contains("\\-\\-limit"));
    assert!(!folder.path().join("certsift-help.1").exists());
    let whole = String::from_utf8(certsift(folder.path(), &["man"]).stdout).unwrap();
    assert_eq!(whole, read("certsift.1"));
    assert!(["EXIT STATUS", "FILES", "ENVIRONMENT"].iter().all(|title| whole.contains(title)), "{whole}");
}

#[test]
fn the_configuration_of_the_package_can_be_used_with_its_examples_as_well() {
    let text = std::fs::read_to_string(repository("packaging/debian/certsift.toml")).unwrap();
    let config = Config::parse(&text, "/etc/certsift".as_ref()).unwrap();
    assert!(config.inputs.is_empty() && config.observe.listen.is_some());
    // What the unit lets it write.
    assert_eq!(config.state_dir.as_deref(), Some("/var/lib/certsift".as_ref()));
    assert!(config.output.path.unwrap().starts_with("/var/log/certsift"));
    let examples: String = text
        .lines()
        .map(
            |line| {
                if line.contains(" = [") || line.contains("[[input]]") { line.trim_start_matches("# ") } else { line }
            },
        )
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(Config::parse(&examples, "/etc/certsift".as_ref()).unwrap().inputs.len(), 2);
}
