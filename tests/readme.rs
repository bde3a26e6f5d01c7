//! The front page is true: its example is what certsift says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use certsift::enrich::checks;
use certsift::enrich::not_evaluated::{NOT_EVALUATED, X509_RECORD};
use serde_json::Value;

use support::{certsift, repository};

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

#[test]
fn the_object_of_the_readme_is_that_of_the_output() {
    let readme = read("README.md");
    let blocks: Vec<&str> = readme.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let record: Value = serde_json::from_str(blocks[0]).unwrap();
    let shown: Value = serde_json::from_str(blocks[1]).unwrap();
    let uid = record["uid"].as_str().unwrap();
    let golden = read("tests/golden/sample_logs.ndjson");
    let line = golden.lines().find(|line| line.contains(uid)).unwrap();
    let mut written: Value = serde_json::from_str(line).unwrap();
    let object = written.as_object_mut().unwrap().remove("certsift").unwrap();
    assert_eq!(shown, object, "the README is to show: {object}");
    assert_eq!(written, record);
}

#[test]
fn the_first_command_says_what_the_readme_shows() {
    let readme = read("README.md");
    let blocks = readme.split("```text\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let shown = blocks.into_iter().find(|block| block.contains("records   ")).unwrap();
    let arguments = ["replay", "--config", "sample_logs/certsift.toml", "sample_logs"];
    let output = certsift(&repository(""), &arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    // How long it takes is another matter on each machine.
    let lines =
        |text: &str| text.lines().filter(|line| !line.starts_with("time")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&said), lines(shown));
}

/// The text of a section, up to the next heading.
fn section<'a>(readme: &'a str, heading: &str) -> &'a str {
    let start = readme.find(&format!("\n{heading}\n")).unwrap() + heading.len() + 2;
    &readme[start..start + readme[start..].find("\n#").unwrap()]
}

#[test]
fn looking_things_up_gives_what_the_readme_shows() {
    let readme = read("README.md");
    let guide = section(&readme, "### Only look things up");
    let block = |kind: &str| guide.split_once(&format!("```{kind}\n")).unwrap().1.split_once("```").unwrap().0;
    let folder = tempfile::tempdir().unwrap();
    for (name, kind) in [("listed.csv", "csv"), ("lookup.toml", "toml")] {
        std::fs::write(folder.path().join(name), block(kind)).unwrap();
    }
    let logs = repository("sample_logs/zeek-json");
    let output = certsift(folder.path(), &["replay", "--config", "lookup.toml", logs.to_str().unwrap()]);
    let uid = readme.split_once("\"uid\":\"").unwrap().1.split_once('"').unwrap().0;
    let output = String::from_utf8(output.stdout).unwrap();
    let line = output.lines().find(|line| line.contains(uid)).unwrap();
    let object = serde_json::from_str::<Value>(line).unwrap()["certsift"].clone();
    let shown: Value = serde_json::from_str(block("json")).unwrap();
    for (key, value) in shown.as_object().unwrap() {
        assert_eq!(&object[key], value, "{key}");
    }
    for key in ["history", "chain", "signatures", "tools", "not_evaluated"] {
        assert!(object.get(key).is_none(), "{key}: {object}");
    }
}

#[test]
fn the_readme_names_the_checks_that_ask_the_history() {
    let readme = read("README.md");
    let (_, list) = section(&readme, "### Which checks run").split_once("the checks that ask it do not run (").unwrap();
    let named: Vec<_> = list.split_once(')').unwrap().0.split('`').skip(1).step_by(2).collect();
    let asking: Vec<_> = checks().iter().filter(|check| check.asks_history()).map(|check| check.id).collect();
    assert_eq!(named, asking);
}

#[test]
fn check_says_what_the_readme_shows() {
    let readme = read("README.md");
    let blocks = readme.split("```text\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let shown = blocks.into_iter().find(|block| block.starts_with("configuration\n")).unwrap();
    let output = certsift(&repository(""), &["check", "--config", "sample_logs/certsift.toml"]);
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), shown);
}

#[test]
fn explain_says_what_the_readme_shows() {
    let readme = read("README.md");
    let (before, shown) = readme.split_once("```text\nzeek.x509 record").unwrap();
    let (_, command) = before.rsplit_once("grep '").unwrap();
    let (wanted, rest) = command.split_once("' ").unwrap();
    let (log, _) = rest.split_once(" | certsift explain").unwrap();
    let line = read(log).lines().find(|line| line.contains(wanted)).unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("line.log"), line).unwrap();
    let output = certsift(folder.path(), &["explain", "line.log"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.strip_prefix("zeek.x509 record"), shown.split("```").next(), "{said}");
}

#[test]
fn every_key_of_the_object_is_in_the_readme() {
    let readme = read("README.md");
    let schema: Value = serde_json::from_str(&read("schemas/enriched.schema.json")).unwrap();
    let definitions = schema["$defs"].as_object().unwrap();
    let keys = definitions["CertsiftObject"]["properties"].as_object().unwrap().keys();
    let missing: Vec<_> = keys.filter(|key| !readme.contains(&format!("`{key}"))).collect();
    assert!(missing.is_empty(), "the table of the object lacks {missing:?}");
}

#[test]
fn every_code_of_what_cannot_be_evaluated_is_in_the_readme() {
    let readme = read("README.md");
    let codes = NOT_EVALUATED.iter().map(|reason| reason.code.to_owned()).chain([format!("…:{}", X509_RECORD.code)]);
    let missing: Vec<_> = codes.filter(|code| !readme.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "the table of `not_evaluated` lacks {missing:?}");
    // And it tells of none that does not exist.
    let start = readme.find("`not_evaluated` then names").unwrap();
    let table = &readme[start..start + readme[start..].find("\n#").unwrap()];
    let written = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" |"));
    for code in written.flat_map(|(codes, _)| codes.split(", ")).map(|code| code.trim_matches('`')) {
        let known = NOT_EVALUATED.iter().any(|reason| reason.code == code) || code.starts_with('…');
        assert!(known, "the README tells of `{code}`");
    }
}
