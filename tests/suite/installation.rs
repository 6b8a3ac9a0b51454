//! `make install` and `make uninstall`: the programs, their manual pages and
//! completions, service files if they are wanted, and nothing else, where the
//! variables say.

use crate::stand::{Dir, aside, finish, skipped};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");
const PROGRAMS: [&str; 5] = ["mergelogs", "pen", "penctl", "penlog", "penlogd"];
const PAGES: [&str; 9] = [
    "man1/mergelogs.1",
    "man1/pen.1",
    "man1/penctl.1",
    "man1/penlog.1",
    "man1/penlogd.1",
    "man5/pen.conf.5",
    "man7/pen-machines.7",
    "man7/pen-tutorial.7",
    "man7/pen-web.7",
];

/// The makes that are here.
fn makes() -> Vec<&'static str> {
    let is_here = |name: &&str| {
        let mut command = Command::new(name);
        command.args(["-f", "/dev/null", "-n", ".PHONY"]);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let here = command.status().is_ok();
        if !here {
            skipped(&format!("{name} is not installed"));
        }
        here
    };
    ["make", "bmake"].into_iter().filter(is_here).collect()
}

/// Files that stand for the programs: their names are in them.
fn build(built: &Path) {
    fs::create_dir_all(built.join("release")).unwrap();
    for program in PROGRAMS {
        fs::write(built.join("release").join(program), program).unwrap();
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(built.join("release").join(program), mode).unwrap();
    }
}

/// Runs make with these words, and without those of a make that runs this.
fn make(name: &str, built: &Path, words: &[&str]) {
    let output = try_make(name, built, words);
    assert!(output.status.success(), "{name} {words:?}: {output:?}");
}

fn try_make(name: &str, built: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(name);
    for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"] {
        command.env_remove(variable);
    }
    command.env("CARGO_TARGET_DIR", built);
    command.current_dir(SOURCE).args(words);
    finish(command)
}

/// Every file below, with its path from there on and its mode.
fn files(root: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let below = files(&path).into_iter();
            found.extend(below.map(|(rest, mode)| (format!("{name}/{rest}"), mode)));
        } else {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            found.push((name, mode & 0o7777));
        }
    }
    found.sort();
    found
}

/// What there has to be with the programs, pages and completions in these directories.
fn expected(bin: &str, man: &str, share: &str) -> Vec<(String, u32)> {
    let bash = |name| (format!("{share}/bash-completion/completions/{name}"), 0o644);
    let completions = PROGRAMS.map(bash).into_iter();
    let completions = completions.chain([(format!("{share}/zsh/site-functions/_pen"), 0o644)]);
    let programs = PROGRAMS.map(|name| (format!("{bin}/{name}"), 0o755));
    let pages = PAGES.map(|name| (format!("{man}/{name}"), 0o644));
    let mut all: Vec<_> = programs.into_iter().chain(pages).chain(completions).collect();
    all.sort();
    all
}

#[test]
fn files_go_where_the_variables_say() {
    aside("about the Makefile");
    for name in makes() {
        let (built, dest) = (Dir::new(), Dir::new());
        build(built.path());
        let root = dest.path().to_str().unwrap();
        let dest_dir = &format!("DESTDIR={root}");
        let elsewhere = &[dest_dir, "BINDIR=/sbin", "MANDIR=/man with blanks"];
        let cases: [(&[&str], &str, &str, &str); 4] = [
            (&[dest_dir], "usr/local/bin", "usr/local/share/man", "usr/local/share"),
            (&[dest_dir, "PREFIX=/usr"], "usr/bin", "usr/share/man", "usr/share"),
            (elsewhere, "sbin", "man with blanks", "usr/local/share"),
            (&[&format!("PREFIX={root}/a b")], "a b/bin", "a b/share/man", "a b/share"),
        ];
        for (variables, bin, man, share) in cases {
            // Nothing has to be built, so cargo must not be asked to.
            let install = [&["install", "CARGO=false"], variables].concat();
            make(name, built.path(), &install);
            assert_eq!(files(dest.path()), expected(bin, man, share), "{install:?}");
            let content = fs::read_to_string(dest.file(bin).join("penlog"));
            assert_eq!(content.unwrap(), "penlog");
            // What is not pen's stays.
            let other = dest.file(man).join("man1/other.1");
            fs::write(&other, "").unwrap();
            make(name, built.path(), &[&["uninstall"], variables].concat());
            let left: Vec<_> = files(dest.path()).into_iter().map(|f| f.0).collect();
            assert_eq!(left, [format!("{man}/man1/other.1")]);
            fs::remove_file(&other).unwrap();
        }
    }
}

/// Service files start the program that was installed, and an edited configuration
/// survives both commands.
#[test]
fn service_files_go_where_the_system_looks_for_them() {
    aside("about the Makefile");
    let cases: [(&str, &[(&str, u32)]); 4] = [
        (
            "systemd",
            &[
                ("etc/logrotate.d/pen", 0o644),
                ("usr/lib/systemd/system/pen.service", 0o644),
                ("usr/lib/systemd/system/pen@.service", 0o644),
            ],
        ),
        ("freebsd", &[("usr/etc/newsyslog.conf.d/pen.conf", 0o644), ("usr/etc/rc.d/pen", 0o555)]),
        ("openbsd", &[("etc/rc.d/pen", 0o555)]),
        ("openwrt", &[("etc/config/pen", 0o600), ("etc/init.d/pen", 0o755)]),
    ];
    for name in makes() {
        for (system, wanted) in cases {
            let (built, dest) = (Dir::new(), Dir::new());
            build(built.path());
            let words = [
                &format!("DESTDIR={}", dest.path().display()),
                &format!("SERVICE={system}"),
                "PREFIX=/usr",
                "CARGO=false",
            ];
            make(name, built.path(), &[&["install"], &words[..]].concat());
            let mut all = expected("usr/bin", "usr/share/man", "usr/share");
            all.extend(wanted.iter().map(|(path, mode)| ((*path).to_owned(), *mode)));
            all.sort();
            assert_eq!(files(dest.path()), all, "{system}");
            for (path, mode) in wanted {
                let text = fs::read_to_string(dest.file(path)).unwrap();
                assert!(!text.contains("/usr/local/bin/"), "{path}: {text}");
                assert!(*mode == 0o600 || text.contains("pen"), "{path}: {text}");
            }
            let config = dest.file("etc/config/pen");
            if system == "openwrt" {
                fs::write(&config, "edited").unwrap();
                make(name, built.path(), &[&["install"], &words[..]].concat());
                assert_eq!(fs::read_to_string(&config).unwrap(), "edited");
            }
            make(name, built.path(), &[&["uninstall"], &words[..]].concat());
            let left = files(dest.path()).len();
            assert_eq!(left, usize::from(system == "openwrt"), "{system}");
        }
    }
}

#[test]
fn other_programs_can_be_installed_and_missing_ones_are_built() {
    aside("about the Makefile");
    for name in makes() {
        let (built, dest, other) = (Dir::new(), Dir::new(), Dir::new());
        build(other.path());
        let dest_dir = &format!("DESTDIR={}", dest.path().display());
        let bin = dest.file("usr/local/bin/pen");
        let from = &format!("FROM={}/release", other.path().display());
        make(name, built.path(), &["install", "CARGO=false", dest_dir, from]);
        assert_eq!(fs::read_to_string(&bin).unwrap(), "pen");
        // A cargo that "builds" by copying, and says so.
        let script = built.file("cargo");
        let copy = format!(
            "echo \"$*\" >>{0}/words; cp -r {1}/release {0}",
            built.path().display(),
            other.path().display()
        );
        fs::write(&script, copy).unwrap();
        let cargo = &format!("CARGO=sh {}", script.display());
        make(name, built.path(), &["install", cargo, dest_dir]);
        let words = built.text("words");
        assert_eq!(words, "build --release --locked\n");
    }
}

#[test]
fn without_the_right_to_write_it_says_what_to_do() {
    aside("about the Makefile");
    for name in makes() {
        let built = Dir::new();
        build(built.path());
        // Nobody can make directories there, not even root.
        let output = try_make(name, built.path(), &["install", "CARGO=false", "PREFIX=/proc/no"]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        for part in ["cannot write to /proc/no/bin", "as root", "PREFIX="] {
            assert!(stderr.contains(part), "{stderr}");
        }
    }
}
