//! Starts pen.

use super::process::finish;
use super::{At, Background, Host, Pen, is_c_pen, is_root, our_program, pen_program, with_etc};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A pen to be started.
pub(crate) struct Starter {
    at: At,
    word: String,
    program: PathBuf,
    args: Vec<String>,
    servers: Vec<String>,
    control: Option<At>,
    expected: Vec<&'static str>,
    /// The words of another program that becomes it, if any.
    through: Vec<String>,
    /// Its path as seen from there.
    known_as: Option<&'static str>,
    directory: Option<PathBuf>,
    etc: Option<PathBuf>,
}

impl Starter {
    /// A pen on an address of this host.
    pub(crate) fn new(host: &Host) -> Starter {
        Starter::at(host.at())
    }

    /// A pen that listens here.
    pub(crate) fn at(at: At) -> Starter {
        Starter {
            word: at.to_string(),
            at,
            program: pen_program(),
            args: Vec::new(),
            servers: Vec::new(),
            control: None,
            expected: Vec::new(),
            through: Vec::new(),
            known_as: None,
            directory: None,
            etc: None,
        }
    }

    /// A pen for datagrams on an address of this host.
    pub(crate) fn datagrams(host: &Host) -> Starter {
        Starter::new(host).args(["-U"])
    }

    /// Says where it listens in other words.
    pub(crate) fn listen_word(mut self, word: String) -> Starter {
        self.word = word;
        self
    }

    /// The pen of this package, whichever is tested.
    pub(crate) fn ours(mut self) -> Starter {
        self.program = our_program();
        self
    }

    /// Another pen.
    pub(crate) fn program(mut self, program: PathBuf) -> Starter {
        self.program = program;
        self
    }

    pub(crate) fn args<S: AsRef<str>>(mut self, args: impl IntoIterator<Item = S>) -> Starter {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
        self.args.extend(args);
        self
    }

    pub(crate) fn server(self, server: &At) -> Starter {
        self.operand(server.to_string())
    }

    pub(crate) fn servers<'a, T: AsRef<At> + 'a>(
        mut self,
        servers: impl IntoIterator<Item = &'a T>,
    ) -> Starter {
        let words = servers.into_iter().map(|server| server.as_ref().to_string());
        self.servers.extend(words);
        self
    }

    /// A server with more than an address behind it.
    pub(crate) fn operand(mut self, operand: String) -> Starter {
        self.servers.push(operand);
        self
    }

    /// With a control port. As root it needs `-u`, and `-u root` does.
    pub(crate) fn control(mut self, at: At) -> Starter {
        self.args.extend(["-C".to_owned(), at.to_string()]);
        if is_root() {
            self.args.extend(["-u".to_owned(), "root".to_owned()]);
        }
        self.control = Some(at);
        self
    }

    /// Messages with this in them are no surprise, nor is such an end
    /// (`signal: 9`). Any other fails the test.
    pub(crate) fn expect(mut self, text: &'static str) -> Starter {
        self.expected.push(text);
        self
    }

    /// Under a limit of the shell, such as `ulimit -n 60`, or behind another
    /// command of it.
    pub(crate) fn under(self, limit: &str) -> Starter {
        self.through(["sh", "-c", &format!("{limit}; exec \"$@\""), "sh"])
    }

    /// In this network namespace. The files are those of everyone.
    pub(crate) fn inside(self, namespace: &str) -> Starter {
        self.through(["ip", "netns", "exec", namespace])
    }

    /// In this root directory, as the `/pen` there.
    pub(crate) fn alone_in(mut self, root: &Path) -> Starter {
        self.known_as = Some("/pen");
        self.through(["chroot", root.to_str().unwrap()])
    }

    /// With a file in place of another one, for this pen alone.
    pub(crate) fn mounted(self, file: &Path, over: &Path) -> Starter {
        let script = "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"";
        let [file, over] = [file, over].map(|path| path.to_str().unwrap());
        self.through(["unshare", "--mount", "sh", "-c", script, "sh", file, over])
    }

    /// By way of a program that becomes it, so that the process is the same.
    fn through<const N: usize>(mut self, words: [&str; N]) -> Starter {
        self.through = words.map(str::to_owned).to_vec();
        self
    }

    /// With the files of this directory in /etc.
    pub(crate) fn etc(mut self, path: &Path) -> Starter {
        self.etc = Some(path.to_owned());
        self
    }

    /// In this directory.
    pub(crate) fn directory(mut self, path: &Path) -> Starter {
        self.directory = Some(path.to_owned());
        self
    }

    fn command(&self, options: &[&str]) -> Command {
        let program = self.known_as.map_or(self.program.as_path(), Path::new);
        let mut command = match (self.through.split_first(), &self.etc) {
            (None, None) => Command::new(program),
            (None, Some(etc)) => with_etc(etc, program),
            (Some((first, words)), _) => {
                let mut command = Command::new(first);
                command.args(words).arg(program);
                command
            }
        };
        command.args(options).args(&self.args);
        command.arg(&self.word).args(&self.servers);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Starts it in the foreground and waits until it listens.
    pub(crate) fn start(self) -> Pen {
        let is_strange = super::is_strange(&self.program);
        let mut command = self.command(&["-f"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        Pen::wait_for(child, self.at, self.control, self.expected, is_strange)
    }

    /// Starts it in the background, where the parent must end well and in
    /// silence. The arguments say `-p`, and that file is here, complete.
    pub(crate) fn start_in_background(self, pid_file: &Path) -> Background {
        let output = finish(self.command(&[]));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", output.status);
        // The C program's parent half does not wait for anything.
        assert!(is_c_pen() || (stderr.is_empty() && pid_file.exists()), "{stderr}");
        Background::known(self.at, &self.word, pid_file)
    }
}
