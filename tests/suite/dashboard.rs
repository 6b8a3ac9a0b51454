//! The dashboard for Grafana, and what Prometheus says of the metrics.

use crate::stand::{Starter, better, finish, skipped, wait_until};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/service/grafana.json");

/// The queries of the dashboard, by python's reader of JSON; `None` without python.
fn queries() -> Option<Vec<String>> {
    let script = "import json, sys\n\
        d = json.load(open(sys.argv[1]))\n\
        ids = [p['id'] for p in d['panels']]\n\
        assert len(set(ids)) == len(ids), ids\n\
        for p in d['panels']:\n\
        \x20   assert p['title'] and p['type'] and p['gridPos']['x'] + p['gridPos']['w'] <= 24, p\n\
        \x20   for t in p['targets']:\n\
        \x20       print(t['expr'])\n";
    let output = Command::new("python3").args(["-c", script, FILE]).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(str::to_owned).collect())
}

/// Prometheus's tool: where .ci/run puts it, or installed.
fn promtool() -> Option<PathBuf> {
    let target = std::env::current_exe().unwrap();
    let here = target.ancestors().map(|dir| dir.join("promtool/usr/bin/promtool"));
    let mut all = here.chain([PathBuf::from("promtool")]);
    all.find(|path| Command::new(path).arg("--version").output().is_ok())
}

fn check(tool: &Path, words: &[&str], input: &Path) -> Output {
    let mut command = Command::new(tool);
    command.arg("check").args(words).stdin(Stdio::from(fs::File::open(input).unwrap()));
    finish(command)
}

#[test]
fn its_queries_are_of_metrics_that_there_are() {
    better!(WEB);
    let Some(queries) = queries() else {
        return skipped("no python3, which reads JSON");
    };
    assert!(queries.len() >= 10, "{queries:?}");
    let pen = Starter::new().letters(1).web().args(["-O", "check 1"]).start();
    assert_eq!(pen.letter(), "A");
    let is_known = |name: &str| pen.get("/metrics").body.contains(&format!("\n{name}{{"));
    wait_until("it is checked", || is_known("pen_server_last_check_success"));
    let metrics = pen.get("/metrics").body;
    for query in &queries {
        let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: Vec<_> = words.filter(|word| word.starts_with("pen_")).collect();
        assert!(!names.is_empty(), "{query}");
        for name in names {
            let has_value = |line: &str| {
                line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            };
            assert!(metrics.lines().any(has_value), "{name}: {metrics}");
        }
    }
    let Some(tool) = promtool() else {
        return skipped("no promtool (Debian: prometheus)");
    };
    let dir = crate::stand::Dir::new();
    let file = dir.file("metrics");
    fs::write(&file, &metrics).unwrap();
    let output = check(&tool, &["metrics"], &file);
    assert!(output.status.success(), "{output:?}");
    // Each query as a rule, with what Grafana puts in the place of its variables.
    let mut rules = "groups:\n- name: pen\n  rules:\n".to_owned();
    for (number, query) in queries.iter().enumerate() {
        let query = query.replace("$__rate_interval", "1m").replace("$instance", ".*");
        assert!(!query.contains(['\'', '$']), "{query}");
        rules += &format!("  - record: query:{number}\n    expr: '{query}'\n");
    }
    let file = dir.file("rules.yml");
    fs::write(&file, rules).unwrap();
    let output = check(&tool, &["rules", file.to_str().unwrap()], &file);
    assert!(output.status.success(), "{output:?}");
}
