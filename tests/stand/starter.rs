//! Starts pen.

use super::process::finish;
use super::{
    At, Backend, Background, Host, Pen, Responder, Server, is_c_pen, is_root, our_program,
    pen_program, with_etc,
};
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// A pen to be started, with the servers that belong to it.
pub(crate) struct Starter {
    pub(crate) at: At,
    pub(crate) host: Host,
    word: String,
    program: PathBuf,
    args: Vec<String>,
    operands: Vec<String>,
    pub(super) servers: Vec<Server>,
    pub(super) beside: Vec<Server>,
    pub(super) control: Option<At>,
    pub(super) web: Option<At>,
    pub(super) expected: Vec<&'static str>,
    /// The words of another program that becomes it, if any.
    through: Vec<String>,
    /// Its path as seen from there.
    known_as: Option<&'static str>,
    directory: Option<PathBuf>,
    etc: Option<PathBuf>,
    pub(crate) is_udp: bool,
}

impl Starter {
    /// A pen on a host of its own.
    pub(crate) fn new() -> Starter {
        Starter::on(&Host::new())
    }

    /// A pen on this host.
    pub(crate) fn on(host: &Host) -> Starter {
        Starter::of(host.at(), host.clone())
    }

    /// A pen that listens on a Unix socket.
    pub(crate) fn unix() -> Starter {
        let host = Host::new();
        Starter::of(host.unix("pen.sock"), host)
    }

    /// A pen that listens here.
    pub(crate) fn at(at: At) -> Starter {
        Starter::of(at, Host::new())
    }

    fn of(at: At, host: Host) -> Starter {
        Starter {
            word: at.to_string(),
            at,
            host,
            program: pen_program(),
            args: Vec::new(),
            operands: Vec::new(),
            servers: Vec::new(),
            beside: Vec::new(),
            control: None,
            web: None,
            expected: Vec::new(),
            through: Vec::new(),
            known_as: None,
            directory: None,
            etc: None,
            is_udp: false,
        }
    }

    /// For datagrams. So are the servers that are added from now on.
    pub(crate) fn udp(mut self) -> Starter {
        self.is_udp = true;
        self.args(["-U"])
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

    /// With this option, which has a path for its value.
    pub(crate) fn path(self, option: &str, path: &Path) -> Starter {
        self.args([option, path.to_str().unwrap()])
    }

    /// With this option and a file of the host's directory.
    pub(crate) fn file(self, option: &str, name: &str) -> Starter {
        let path = self.host.file(name);
        self.path(option, &path)
    }

    /// With this text in `pen.cfg`.
    pub(crate) fn config(self, text: impl AsRef<[u8]>) -> Starter {
        self.host.dir.put("pen.cfg", text);
        self.file("-F", "pen.cfg")
    }

    /// With a server of somebody else.
    pub(crate) fn server(self, server: &At) -> Starter {
        self.operand(server)
    }

    pub(crate) fn servers<'a, T: AsRef<At> + 'a>(
        self,
        servers: impl IntoIterator<Item = &'a T>,
    ) -> Starter {
        servers.into_iter().fold(self, |starter, server| starter.server(server.as_ref()))
    }

    /// A server with more than an address behind it.
    pub(crate) fn operand(mut self, operand: impl ToString) -> Starter {
        self.operands.push(operand.to_string());
        self
    }

    /// A server where nobody listens.
    pub(crate) fn absent(self) -> Starter {
        let at = self.host.at();
        self.server(&at)
    }

    /// Servers that say A, B, C and so on.
    pub(crate) fn letters(self, count: u8) -> Starter {
        (0..count).fold(self, |starter, _| starter.letter_with(""))
    }

    /// Such servers, with these words behind their addresses.
    pub(crate) fn letters_with<const N: usize>(self, limits: [&str; N]) -> Starter {
        limits.into_iter().fold(self, Starter::letter_with)
    }

    fn letter_with(self, limits: &str) -> Starter {
        let (at, letter) = (self.host.at(), char::from(b'A' + self.servers.len() as u8));
        let server = Server::letter(self.is_udp, at, letter);
        self.own(server, limits)
    }

    /// A server that sends everything back.
    pub(crate) fn echo(self) -> Starter {
        match self.is_udp {
            true => self.with(Responder::echo),
            false => self.with(Backend::echo),
        }
    }

    /// A server that this starts.
    pub(crate) fn with<S: Into<Server>>(self, start: impl FnOnce(At) -> S) -> Starter {
        let server = start(self.host.at());
        self.serving(server)
    }

    /// A server that does this with each connection.
    pub(crate) fn serve(self, serve: impl Fn(Arc<TcpStream>) + Send + Sync + 'static) -> Starter {
        self.with(|at| Backend::start(at, serve))
    }

    /// A server of datagrams that the test plays itself, with this socket.
    pub(crate) fn by_hand(self) -> (Starter, UdpSocket) {
        let socket = self.host.socket();
        let at = At::Inet(socket.local_addr().unwrap());
        (self.server(&at), socket)
    }

    /// A server that is the pen's own from now on.
    pub(crate) fn serving(self, server: impl Into<Server>) -> Starter {
        self.own(server.into(), "")
    }

    fn own(mut self, server: Server, limits: &str) -> Starter {
        self.operands.push(format!("{}{limits}", server.at()));
        self.servers.push(server);
        self
    }

    /// A server with this letter that is not among the others: `-e`, `-B`.
    pub(crate) fn beside(mut self, option: &str, letter: char) -> Starter {
        let server = Server::letter(self.is_udp, self.host.at(), letter);
        self.args.extend([option.to_owned(), server.at().to_string()]);
        self.beside.push(server);
        self
    }

    /// With a control port.
    pub(crate) fn control(self) -> Starter {
        let at = self.host.at();
        self.control_at(at)
    }

    /// With a control port here. As root it needs `-u`, and `-u root` does.
    pub(crate) fn control_at(mut self, at: At) -> Starter {
        self.args.extend(["-C".to_owned(), at.to_string()]);
        if is_root() {
            self.args.extend(["-u".to_owned(), "root".to_owned()]);
        }
        self.control = Some(at);
        self
    }

    /// With a web interface, and a control port beside it.
    pub(crate) fn web(self) -> Starter {
        let at = self.host.at();
        self.web_at(at).control()
    }

    /// With a web interface here.
    pub(crate) fn web_at(self, at: At) -> Starter {
        let mut starter = self.args(["--web", &at.to_string()]);
        starter.web = Some(at);
        starter
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
        command.arg(&self.word).args(&self.operands);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Starts it in the foreground and waits until it listens.
    pub(crate) fn start(mut self) -> Pen {
        self.is_udp |= self.args.iter().chain(&self.operands).any(|word| word == "-U");
        let is_strange = super::is_strange(&self.program);
        let mut command = self.command(&["-f"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        Pen::wait_for(child, self, is_strange)
    }

    /// Starts it in the background with a pid file, `pid`.
    pub(crate) fn background(self) -> Background {
        let pid_file = self.host.file("pid");
        self.path("-p", &pid_file).start_in_background(&pid_file)
    }

    /// Starts it in the background, where the parent must end well and in
    /// silence. The arguments say `-p`, and that file is here, complete.
    pub(crate) fn start_in_background(self, pid_file: &Path) -> Background {
        let output = finish(self.command(&[]));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", output.status);
        // The C program's parent half does not wait for anything.
        assert!(is_c_pen() || (stderr.is_empty() && pid_file.exists()), "{stderr}");
        let mut pen = Background::known(self.at, &self.word, pid_file);
        (pen.servers, pen.host) = (self.servers, Some(self.host));
        pen
    }
}
