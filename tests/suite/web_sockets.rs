//! The web interface on all kinds of sockets, for another user, in another
//! root.

use crate::stand::{
    At, Dir, Host, Starter, Status, better, curl, free_v6, get, is_root, root, wait_until,
};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[test]
fn a_unix_socket_is_for_its_user_alone() {
    better!(WEB);
    let dir = Dir::new().open_to_all();
    let (path, second) = (dir.file("web"), dir.file("web2"));
    let mut starter = Starter::new().args(["--web", path.to_str().unwrap()]);
    if is_root() {
        starter = starter.args(["-u", "nobody"]);
    }
    let control = At::Unix(dir.file("ctl"));
    let pen = starter.args(["-C", &control.to_string()]).start();
    let is_private = |path: &std::path::Path| {
        let meta = fs::metadata(path).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        let uid = Status::of(pen.pid()).unwrap().number("Uid");
        assert_eq!(u64::from(meta.uid()), uid);
    };
    is_private(&path);
    assert_eq!(get(&At::Unix(path.clone()), "/status.json").status, 200);
    let answer = curl(&["--unix-socket", path.to_str().unwrap(), "http://localhost/"]);
    assert_eq!(answer.status, 200);
    // Elsewhere, while it runs.
    let client = crate::stand::Client::new(&control);
    client.send(format!("web {}\n", second.display()));
    assert_eq!(client.rest(), format!("{}\n", second.display()).into_bytes());
    is_private(&second);
    assert!(!path.exists());
    assert_eq!(get(&At::Unix(second.clone()), "/status.json").status, 200);
    drop(pen);
    assert!(!second.exists());
}

#[test]
fn two_pens_do_not_share_one() {
    better!(WEB);
    let (host, dir) = (Host::new(), Dir::new());
    for web in [host.at(), At::Unix(dir.file("web"))] {
        let word = web.to_string();
        let pen = Starter::on(&host).args(["--web", &word]).control().start();
        let other = Starter::on(&host).control().start();
        let reply = other.ask(&format!("web {word}"));
        assert!(reply.contains(&word) && reply.contains(" in use"), "{reply}");
        assert_eq!(other.ask("web"), "");
        assert_eq!(get(&web, "/healthz").status, 503);
        drop(pen);
        assert_eq!(other.ask(&format!("web {word}")), format!("{word}\n"));
    }
}

#[test]
fn root_without_a_user_gets_none() {
    better!(WEB);
    root!();
    let starter = Starter::new();
    let web = starter.host.at();
    let pen = starter.web_at(web).expect("not opened, as pen runs as root").start();
    pen.says("not opened");
    assert!(pen.web().connect().is_err());
}

/// Everything is opened and read before the root and the user are others.
#[test]
fn in_a_jail_as_another_user() {
    better!(WEB);
    root!();
    let (starter, dir) = (Starter::new().letters(1), Dir::new().open_to_all());
    let file = starter.host.dir.put("password", "a:b\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let web = starter.host.at();
    let pen = starter
        .args(["-u", "nobody"])
        .path("-j", dir.path())
        .web_at(web.clone())
        .args(["-O", &format!("web_password {}", file.display())])
        .expect(": web: a: mode")
        .start();
    assert_eq!(pen.letter(), "A");
    let url = |path: &str| format!("http://{web}{path}");
    let status = curl(&["-u", "a:b", &url("/status.json")]);
    let token = format!("X-Pen-Token: {}", status.member("\"control\":", "token"));
    assert_eq!(token.len(), "X-Pen-Token: ".len() + 32);
    let control = url("/control");
    let answer = curl(&["-u", "a:b", "-H", &token, "--data-binary", "mode", &control]);
    assert!(answer.body.starts_with("no hash"), "{answer:?}");
}

#[test]
fn over_ipv6() {
    better!(WEB);
    let Some(web) = free_v6() else { return };
    let pen = Starter::new().web_at(web.clone()).control().start();
    assert_eq!(pen.get("/").status, 200);
    assert_eq!(curl(&[&format!("http://{web}/status.json")]).status, 200);
}

#[test]
fn beside_datagrams() {
    better!(WEB);
    let pen = Starter::new().udp().letters(1).web().start();
    pen.asker().send("x");
    wait_until("the flow is shown", || {
        let status = pen.get("/status.json");
        status.member("", "protocol") == "udp"
            && status.member("\"connections\":{", "used") == "1"
            && status.member("\"servers\":", "sx") == "1"
    });
    assert_eq!(pen.get("/healthz").body, "ok\n");
}
