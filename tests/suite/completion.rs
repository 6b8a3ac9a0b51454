//! What TAB completes in bash and zsh, on a terminal.

use crate::stand::{Dir, aside, finish, our_program, skipped};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

const SERVICE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/service");

/// What is typed before TAB, and the arguments that the program is given then.
const TYPED: [(&str, &str); 9] = [
    ("pen --no-b", "--no-batch"),
    ("pen -u roo", "-u root"),
    ("pen -j /us", "-j /usr"),
    ("pen -F /etc/passw", "-F /etc/passwd"),
    ("pen -O blackl", "-O blacklist"),
    ("penctl /x blackl", "/x blacklist"),
    ("penctl /x no stubb", "/x no stubborn"),
    ("penlogd --vers", "--version"),
    ("mergelogs -p /etc/passw", "-p /etc/passwd"),
];

/// A directory with programs that print their arguments, except for those that the
/// completion asks.
fn programs() -> Dir {
    let dir = Dir::new();
    for name in ["pen", "penctl", "penlog", "penlogd", "mergelogs"] {
        let path = our_program().with_file_name(name);
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in\n--help|\"-O help\") exec '{}' \"$@\" ;;\n\
             *) echo \"given:$*:\" ;;\nesac\n",
            path.display()
        );
        fs::write(dir.file(name), script).unwrap();
        fs::set_permissions(dir.file(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    dir
}

/// Types all of it into this shell, which `start` has prepared.
fn completes(shell: &str, start: &str) {
    aside("about shells");
    let dir = programs();
    let mut typed = format!("{start}\n");
    for (word, _) in TYPED {
        typed += &format!("{word}\t\n");
    }
    typed += "exit\n";
    fs::write(dir.file("typed"), typed).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "cat typed | script -qec \"$0\" /dev/null", shell]).env("TERM", "dumb");
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", dir.path().display())).current_dir(dir.path());
    let shown = String::from_utf8_lossy(&finish(command).stdout).into_owned();
    let given = shown.split("given:").skip(1).filter_map(|rest| rest.split(':').next());
    let wanted = TYPED.map(|(_, arguments)| arguments);
    assert_eq!(given.collect::<Vec<_>>(), wanted, "{shown}");
}

fn is_here(shell: &str) -> bool {
    let runs = |name: &str, word: &str| {
        let mut command = Command::new(name);
        command.arg(word).stdout(Stdio::null()).stdin(Stdio::null());
        command.status().is_ok()
    };
    let here = runs(shell, "--version") && runs("script", "--version");
    if !here {
        skipped(&format!("{shell} or script is not installed"));
    }
    here
}

#[test]
fn bash_completes_options_values_and_commands() {
    if is_here("bash") {
        completes("bash --norc --noprofile -i", &format!(". {SERVICE}/pen.bash"));
    }
}

#[test]
fn zsh_completes_options_values_and_commands() {
    if is_here("zsh") {
        let start = format!("fpath=({SERVICE} $fpath); autoload -U compinit; compinit -u -D");
        completes("zsh -f -i", &start);
    }
}
