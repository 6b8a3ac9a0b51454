//! Users and groups from the system's files. Read directly, because a static
//! program cannot use the C library's name services.

use std::fs;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// A user and the groups to become.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// User number.
    pub(crate) uid: u32,
    /// Primary group.
    pub(crate) gid: u32,
    /// All groups, the primary one first.
    pub(crate) groups: Vec<u32>,
}

/// Finds a user by name or number. A number that has no entry stands for
/// itself, with the group of the same number.
pub(crate) fn find(word: &str) -> Result<User, String> {
    let read = |path| fs::read(path).map(|text| String::from_utf8_lossy(&text).into_owned());
    let passwd = read(PASSWD);
    if let Some((name, uid, gid)) = passwd.as_ref().ok().and_then(|text| entry(text, word)) {
        // Without the file there are no further groups to have.
        let groups = memberships(&read(GROUP).unwrap_or_default(), name, gid);
        return Ok(User { uid, gid, groups });
    }
    match (word.parse(), passwd) {
        (Ok(uid), _) => Ok(User { uid, gid: uid, groups: vec![uid] }),
        (_, Ok(_)) => Err(format!("{word}: no such user in {PASSWD}")),
        (_, Err(e)) => Err(format!("{word}: cannot look up this user in {PASSWD}: {e}")),
    }
}

/// The passwd(5) entry of a user by name, else by number: name, user and group.
fn entry<'a>(passwd: &'a str, word: &str) -> Option<(&'a str, u32, u32)> {
    let entries = || {
        passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let uid: u32 = fields.nth(1)?.parse().ok()?;
            Some((name, uid, fields.next()?.parse().ok()?))
        })
    };
    let number = word.parse().ok();
    let by_name = entries().find(|(name, _, _)| *name == word);
    by_name.or_else(|| entries().find(|(_, uid, _)| Some(*uid) == number))
}

/// The groups of group(5) that a user is in.
fn memberships(group: &str, name: &str, gid: u32) -> Vec<u32> {
    let further = group.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(2);
        let number = fields.next()?.parse().ok()?;
        let is_member = fields.next()?.split(',').any(|member| member == name);
        (is_member && number != gid).then_some(number)
    });
    std::iter::once(gid).chain(further).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_and_groups() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbad\n7:x:70:7::/:\nwww:x:33:34:w:/:/x\n";
        assert_eq!(entry(passwd, "www"), Some(("www", 33, 34)));
        assert_eq!(entry(passwd, "33"), Some(("www", 33, 34)));
        assert_eq!(entry(passwd, "7"), Some(("7", 70, 7)));
        assert_eq!(entry(passwd, "nobody"), None);
        let group = "root:x:0:\nadm:x:4:syslog,www\nbad\nwww:x:34:www\nlast:x:5:wwwx,www";
        assert_eq!(memberships(group, "www", 34), [34, 4, 5]);
    }

    #[test]
    fn a_bare_number_is_a_user() {
        let user = find("4000123456");
        let groups = vec![4_000_123_456];
        let want = User { uid: groups[0], gid: groups[0], groups };
        assert_eq!(user, Ok(want));
        assert!(find("no-such-user").is_err_and(|e| e.contains("no-such-user")));
    }
}
