//! The page uses only its own script and style, which have paths of their own, and
//! sends requests only to its pen. The policy in [`reply`] enforces that.
//!
//! [`reply`]: super::reply

use super::reply::Reply;

/// Returns the part of the page that has this path, if one has it.
pub(super) fn part(path: &str) -> Option<Reply> {
    let (kind, text) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("page.html")),
        "/page.css" => ("text/css; charset=utf-8", include_str!("page.css")),
        "/page.js" => ("text/javascript; charset=utf-8", include_str!("page.js")),
        "/favicon.ico" => ("image/svg+xml", include_str!("page.svg")),
        _ => return None,
    };
    Some(Reply::new(kind, text))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_needs_nothing_that_is_forbidden() {
        let page = concat!(include_str!("page.html"), include_str!("page.css"));
        for text in [" style=", " onclick=", " onload=", "<style", "@import", "url(", "//"] {
            assert!(!page.contains(text), "{text}");
        }
        assert_eq!(page.matches("src=").count(), 1);
    }
}
