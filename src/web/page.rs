//! The page. It has no script and no style but its own, which have paths of
//! their own, and it talks to nobody but its pen: see the policy in [`reply`].
//!
//! [`reply`]: super::reply

use super::reply::Reply;

/// A part of the page, by its path; `None` if this is the path of none.
pub(super) fn part(path: &str) -> Option<Reply> {
    let (kind, text) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("page.html")),
        "/page.css" => ("text/css; charset=utf-8", include_str!("page.css")),
        "/page.js" => ("text/javascript; charset=utf-8", include_str!("page.js")),
        _ => return None,
    };
    Some(Reply::new(kind, text))
}

#[cfg(test)]
mod tests {
    /// What the policy forbids, and what would come from elsewhere.
    #[test]
    fn the_page_needs_nothing_that_is_forbidden() {
        let page = concat!(include_str!("page.html"), include_str!("page.css"));
        for text in [" style=", " onclick=", " onload=", "<style", "@import", "url(", "//"] {
            assert!(!page.contains(text), "{text}");
        }
        assert_eq!(page.matches("src=").count(), 1);
    }
}
