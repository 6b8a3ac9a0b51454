//! The other programs that the comparison uses: where they are, which are
//! missing, and the Debian packages that bring them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is installed.
pub(crate) struct Tools {
    pub(crate) nginx: PathBuf,
    /// The line that gives nginx its stream module, empty if it is built in.
    pub(crate) stream: Option<String>,
    pub(crate) haproxy: Option<PathBuf>,
    pub(crate) c_pen: Option<PathBuf>,
    pub(crate) socat: Option<PathBuf>,
    pub(crate) ab: Option<PathBuf>,
    pub(crate) wrk: Option<PathBuf>,
    /// One line for each that is missing.
    pub(crate) missing: Vec<String>,
}

impl Tools {
    /// Looks for them. Without nginx there is no back end and no comparison.
    pub(crate) fn find() -> Result<Tools, String> {
        let c_pen = c_pen();
        let found = [
            (program("nginx"), "nginx", "nginx", "the back ends are nginx"),
            (program("ab"), "ab", "apache2-utils", "no short connections"),
            (program("wrk"), "wrk", "wrk", "no keep-alive requests"),
            (program("haproxy"), "haproxy", "haproxy", "not compared"),
            (program("socat"), "socat", "socat", "not compared"),
            (c_pen.clone(), "the C pen", "pen", "not compared"),
        ];
        let lacking = found.iter().filter(|(path, ..)| path.is_none());
        let mut missing: Vec<String> = lacking
            .clone()
            .map(|(_, name, _, effect)| format!("{name} is not installed: {effect}"))
            .collect();
        let mut packages: Vec<&str> = lacking.map(|(_, _, package, _)| *package).collect();
        let [nginx, ab, wrk, haproxy, socat, _] = found.map(|(path, ..)| path);
        let stream = nginx.as_deref().and_then(stream_module);
        if stream.is_none() {
            missing.push("nginx has no stream module: not compared".to_owned());
            packages.push("libnginx-mod-stream");
        }
        if !packages.is_empty() {
            missing.push(format!("to have all: apt-get install {}", packages.join(" ")));
        }
        let Some(nginx) = nginx else {
            return Err(missing.join("\n"));
        };
        if ab.is_none() && wrk.is_none() {
            return Err(missing.join("\n"));
        }
        Ok(Tools { nginx, stream, haproxy, c_pen, socat, ab, wrk, missing })
    }

    /// Whether a work has the load generator it needs.
    pub(crate) fn suffice_for(&self, work: &str) -> bool {
        match work {
            "short" | "down" | "table" | "web" | "checks" => self.ab.is_some(),
            "keep" => self.wrk.is_some(),
            "growth" => self.ab.is_some() && self.wrk.is_some(),
            _ => true,
        }
    }

    /// One line with the versions of what is compared.
    pub(crate) fn versions(&self) -> String {
        let nginx = first_words(&self.nginx, "-v", 3);
        let mut all = vec![nginx.replace("nginx version: nginx/", "nginx ")];
        let haproxy = self.haproxy.as_deref();
        all.extend(haproxy.map(|path| first_words(path, "-v", 3)));
        let c_pen = self.c_pen.as_deref();
        all.extend(c_pen.map(|path| format!("C pen {}", package_version(path))));
        all.extend(self.socat.as_deref().map(socat_version));
        all.join(", ")
    }
}

/// Servers live in the sbin directories, which a user's PATH often lacks.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// The C program has the same name as ours, which may be installed in its
/// place. Ours knows `--version`; the C program's answer is its usage text.
fn c_pen() -> Option<PathBuf> {
    ["/usr/bin/pen", "/usr/sbin/pen", "/usr/local/bin/pen"]
        .map(PathBuf::from)
        .into_iter()
        .filter(|file| file.is_file())
        .find(|file| text_of(file, "--version").contains("usage"))
}

/// The stream module is a package of its own on Debian, built in elsewhere.
fn stream_module(nginx: &Path) -> Option<String> {
    let build = text_of(nginx, "-V");
    let module = "ngx_stream_module.so";
    let places = ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"];
    if build.split_whitespace().any(|word| word == "--with-stream") {
        return Some(String::new());
    }
    places
        .map(|place| Path::new(place).join(module))
        .into_iter()
        .find(|file| file.is_file())
        .map(|file| format!("load_module {};", file.display()))
}

/// All that a program says when given one option.
fn text_of(program: &Path, option: &str) -> String {
    let mut command = Command::new(program);
    command.arg(option).stdin(Stdio::null());
    command.output().map_or_else(
        |_| String::new(),
        |output| {
            String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr)
        },
    )
}

fn first_words(program: &Path, option: &str, count: usize) -> String {
    let text = text_of(program, option);
    let words: Vec<&str> = text.split_whitespace().take(count).collect();
    words.join(" ")
}

/// socat's name comes before its version, but not first.
fn socat_version(program: &Path) -> String {
    let text = text_of(program, "-V");
    let (_, rest) = text.split_once("socat version ").unwrap_or_default();
    format!("socat {}", rest.split_whitespace().next().unwrap_or("?"))
}

/// The C pen does not tell its version; the package manager may know.
fn package_version(program: &Path) -> String {
    let name = program.file_name().unwrap_or_default();
    let output = Command::new("dpkg-query").args(["-W", "-f", "${Version}"]).arg(name).output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).into_owned()
        }
        _ => "of unknown version".to_owned(),
    }
}
