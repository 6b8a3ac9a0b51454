//! How much memory this process may use together with those in its control
//! group: what a container, or systemd's `MemoryMax`, allows. Linux alone
//! (cgroups(7)).

use std::fs;
use std::path::Path;

/// The limit in bytes; `None` if there is none, or if no file tells it.
pub(crate) fn memory_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    least(Path::new("/sys/fs/cgroup"), &groups)
}

/// Finds the lowest limit among the group's own and those of the groups above it. In
/// a container the path may be the host's; only the topmost group is there then.
fn least(root: &Path, groups: &str) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next(), parts.next().unwrap_or_default());
        // Version 2 has one hierarchy; in version 1 memory has one of its own.
        let (top, file) = match controllers {
            Some("") => (root.to_owned(), "memory.max"),
            _ => (root.join("memory"), "memory.limit_in_bytes"),
        };
        let is_it =
            controllers.is_some_and(|all| all.split(',').any(|one| matches!(one, "" | "memory")));
        let group = top.join(path.trim_start_matches('/'));
        let groups = group.ancestors().take_while(|dir| is_it && dir.starts_with(&top));
        let read = |dir: &Path| fs::read_to_string(dir.join(file)).ok()?.trim().parse().ok();
        groups.filter_map(read).collect::<Vec<u64>>()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_counts() {
        let root = std::env::temp_dir().join(format!("pen-cgroup-{}", std::process::id()));
        let set = |path: &str, value: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, value).unwrap();
        };
        set("memory.max", "max\n");
        set("a/memory.max", "1000\n");
        set("a/b/memory.max", "3000\n");
        set("memory/memory.limit_in_bytes", "9223372036854771712\n");
        set("memory/c/memory.limit_in_bytes", "2000\n");
        for (groups, limit) in [
            ("0::/a/b\n", Some(1000)),
            ("0::/other\n", None),
            ("0::/\n", None),
            ("4:memory:/c\n0::/\n", Some(2000)),
            ("4:cpu,memory:/host/path\n0::/\n", Some(9_223_372_036_854_771_712)),
            ("1:cpu:/a\n", None),
            ("", None),
            (":", None),
        ] {
            assert_eq!(least(&root, groups), limit, "{groups}");
        }
        fs::remove_dir_all(root).unwrap();
    }
}
