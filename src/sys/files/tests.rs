use super::*;
use std::fs::Permissions;
use std::os::unix::fs::symlink;

/// A directory of the test's own, with a mode.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str, mode: u32) -> Dir {
        let name = format!("pen-files-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        Dir(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_are_made_and_go_on() {
    let dir = Dir::new("plain", 0o755);
    let log = dir.file("log");
    append(&log, false).unwrap().write_all(b"one\n").unwrap();
    append(&log, false).unwrap().write_all(b"two\n").unwrap();
    assert_eq!(dir.read("log"), "one\ntwo\n");
    in_place(&log).unwrap().1.write_all(b"x").unwrap();
    assert_eq!(dir.read("log"), "x");
    fs::set_permissions(&log, Permissions::from_mode(0o604)).unwrap();
    replace(&log, b"new").unwrap();
    assert_eq!(dir.read("log"), "new");
    let mode = fs::metadata(&log).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o604);
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 1);
    remove(&log).unwrap();
    assert!(!log.exists());
}

/// As log rotation and packagers do it.
#[test]
fn links_in_a_directory_of_ones_own_are_followed() {
    let dir = Dir::new("links", 0o755);
    fs::create_dir(dir.file("real")).unwrap();
    symlink("real", dir.file("way")).unwrap();
    symlink("../way/./target", dir.file("real/name")).unwrap();
    let path = dir.file("way/name");
    append(&path, false).unwrap().write_all(b"log").unwrap();
    assert_eq!(dir.read("real/target"), "log");
    replace(&path, b"page").unwrap();
    assert_eq!(dir.read("real/target"), "page");
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    let absolute = dir.file("absolute");
    symlink(dir.file("real/target"), &absolute).unwrap();
    in_place(&absolute).unwrap().1.write_all(b"7").unwrap();
    assert_eq!(dir.read("real/target"), "7");
    symlink("round", dir.file("round")).unwrap();
    let why = append(&dir.file("round"), false).unwrap_err();
    assert_eq!(why.to_string(), "too many links");
}

#[test]
fn links_in_a_directory_of_all_are_not_followed() {
    let dir = Dir::new("all", 0o777);
    let own = Dir::new("own", 0o755);
    fs::write(own.file("victim"), "whole").unwrap();
    symlink(own.file("victim"), dir.file("name")).unwrap();
    symlink(&own.0, dir.file("way")).unwrap();
    for path in [dir.file("name"), dir.file("way/victim")] {
        for result in [append(&path, false).err(), in_place(&path).err()] {
            let why = result.unwrap().to_string();
            assert!(why.contains(": not followed"), "{why}");
        }
    }
    assert!(replace(&dir.file("way/victim"), b"x").is_err());
    // The link itself is replaced.
    replace(&dir.file("name"), b"page").unwrap();
    assert_eq!(dir.read("name"), "page");
    assert_eq!(own.read("victim"), "whole");
    // Nor where a link leads to one.
    symlink(dir.file("way"), own.file("there")).unwrap();
    let why = append(&own.file("there/victim"), false).unwrap_err().to_string();
    assert!(why.contains("way is a link of user") && why.contains(": not followed"), "{why}");
    // A directory that root trusts others with is no reason to refuse.
    fs::create_dir(dir.file("sub")).unwrap();
    symlink(own.file("victim"), dir.file("sub/name")).unwrap();
    append(&dir.file("sub/log"), false).unwrap();
    append(&dir.file("sub/../sub/log"), false).unwrap();
}

/// The sticky bit lets nobody exchange what is ours.
#[test]
fn own_links_in_a_sticky_directory_are_followed() {
    let dir = Dir::new("sticky", 0o1777);
    symlink("target", dir.file("name")).unwrap();
    append(&dir.file("name"), false).unwrap();
    assert!(dir.file("target").exists());
    assert!(is_fixed(&dir.file("name")));
    let all = Dir::new("fixed", 0o777);
    assert!(!is_fixed(&all.file("name")));
    fs::create_dir(all.file("sub")).unwrap();
    assert!(!is_fixed(&all.file("sub/name")));
}

#[test]
fn second_names_are_refused_where_others_can_make_them() {
    for (mode, refused) in [(0o777, true), (0o1777, true), (0o755, false)] {
        let dir = Dir::new(&format!("names-{mode:o}"), mode);
        fs::write(dir.file("victim"), "whole").unwrap();
        fs::hard_link(dir.file("victim"), dir.file("name")).unwrap();
        let result = append(&dir.file("name"), false);
        assert_eq!(result.is_err(), refused, "{mode:o}");
        // A new file takes the name, and the other one stays.
        replace(&dir.file("name"), b"page").unwrap();
        assert_eq!(dir.read("victim"), "whole");
    }
}

#[test]
fn devices_and_pipes_are_written_to() {
    replace(Path::new("/dev/null"), b"page").unwrap();
    append(Path::new("/dev/null"), false).unwrap();
    let (_, file) = in_place(Path::new("/dev/null")).unwrap();
    assert!(!file.metadata().unwrap().is_file());
}

#[test]
fn a_full_pipe_is_given_up() {
    let (end, _other) = UnixStream::pair().unwrap();
    end.set_nonblocking(true).unwrap();
    let file = File::from(OwnedFd::from(end));
    let data = vec![0; 10 << 20];
    let why = write_within(Duration::from_millis(50), file, &data).unwrap_err();
    assert_eq!(why.kind(), ErrorKind::TimedOut);
}

#[test]
fn what_names_no_file_is_an_error() {
    for path in ["/", ".", "..", "/tmp/", ""] {
        let path = Path::new(path);
        assert!(append(path, false).is_err(), "{path:?}");
        assert!(replace(path, b"x").is_err(), "{path:?}");
    }
    assert!(append(Path::new("/nonexistent/log"), false).is_err());
    assert!(append(Path::new("/dev/null/log"), false).is_err());
}
