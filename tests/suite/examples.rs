//! The command lines of the manuals and the README: pen understands each of them.

use crate::stand::{Dir, aside, finish, is_root, our_program};
use std::fs;
use std::path::Path;
use std::process::Command;

const FILES: [&str; 5] =
    ["README.md", "pen.1", "src/man/pen.conf.5", "src/man/pen-tutorial.7", "src/man/pen-web.7"];

/// The command lines of a text: displays of the manuals, indented lines of the README.
fn examples(text: &str) -> Vec<String> {
    let mut in_display = false;
    let mut found = Vec::new();
    for line in text.lines() {
        in_display = line.starts_with(".Bd -literal") || in_display && line != ".Ed";
        let words = match (line.strip_prefix(".Dl "), line.strip_prefix("    ")) {
            (Some(words), _) | (_, Some(words)) => words,
            _ if in_display => line,
            _ => continue,
        };
        if words.starts_with("pen ") {
            let words = words.split("  ").next().unwrap_or_default();
            found.push(words.split(" # ").next().unwrap_or_default().replace("\\(dq", "\""));
        }
    }
    found
}

/// The hosts of the examples have names of letters and a digit, which no name server
/// knows. Addresses that begin with 240 are no host's.
fn with_addresses(line: &str) -> String {
    // The one that pen listens at must be this host's.
    let mut line = line.replace("10.0.1.1:", "127.0.0.1:");
    for name in ["web", "mail", "dir", "db", "ns", "log", "desk", "ftp"] {
        for digit in 1..=3 {
            line = line.replace(&format!("{name}{digit}"), &format!("240.0.0.{digit}"));
        }
    }
    line
}

#[test]
fn pen_understands_them() {
    aside("about the manual pages");
    let dir = Dir::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = fs::read_to_string(source.join("src/man/pen.conf.5")).unwrap();
    let (_, config) = config.split_once(".Bd -literal -offset indent\n").unwrap();
    let (config, _) = config.split_once(".Ed").unwrap();
    dir.put("pen.conf", with_addresses(config));
    dir.put("password", "admin:secret\n");
    let here = dir.path().to_str().unwrap();
    let mut count = 0;
    for file in FILES {
        for line in examples(&fs::read_to_string(source.join(file)).unwrap()) {
            // Only root may connect from others' addresses.
            if line.contains("--try") || line.contains("transparent") && !is_root() {
                continue;
            }
            let mut words = with_addresses(&line);
            for place in ["/etc/pen.conf", "/etc/pen/", "/run/pen/", "/run/app/"] {
                let end = if place.ends_with('/') { "" } else { "pen.conf" };
                words = words.replace(place, &format!("{here}/{end}"));
            }
            for user in ["-u pen ", "-u nobody "] {
                words = words.replace(user, "-u root ");
            }
            // As root pen opens no web interface without a user.
            let user = if is_root() { " -u root" } else { "" };
            let program = format!("chmod 600 password; \"$0\" --check{user}");
            let script = words.replacen("pen", &program, 1);
            let mut command = Command::new("sh");
            command.current_dir(dir.path()).arg("-c").arg(script).arg(our_program());
            let output = finish(command);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && errors.is_empty(), "{file}: {line}: {errors}");
            count += 1;
        }
    }
    assert!(count > 25, "{count} command lines");
}
