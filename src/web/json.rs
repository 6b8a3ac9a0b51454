//! Writes JSON (RFC 8259). Nothing here does I/O.

use std::fmt::{Display, Write as _};

/// The text of an object that is not complete yet.
pub(super) struct Json(String);

impl Json {
    /// Begins an object.
    pub(super) fn new() -> Json {
        let mut text = String::with_capacity(16 * 1024);
        text.push('{');
        Json(text)
    }

    /// Ends the object and returns its text.
    pub(super) fn finish(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }

    // The functions are called from many places; inlining them would make the program
    // larger.
    /// Begins a member. In an array its name is empty.
    fn key(&mut self, name: &str) {
        if !self.0.ends_with(['{', '[']) {
            self.0.push(',');
        }
        if !name.is_empty() {
            self.string(name);
            self.0.push(':');
        }
    }

    /// Begins an object or an array with its bracket.
    #[inline(never)]
    pub(super) fn open(&mut self, name: &str, bracket: char) {
        self.key(name);
        self.0.push(bracket);
    }

    /// Ends the object or array that was begun last.
    pub(super) fn close(&mut self, bracket: char) {
        self.0.push(bracket);
    }

    #[inline(never)]
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.key(name);
        self.string(value);
    }

    /// Writes a text, or null.
    #[inline(never)]
    pub(super) fn maybe(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.value(name, &"null"),
        }
    }

    /// Writes a number, a flag or null, as it is displayed.
    #[inline(never)]
    pub(super) fn value(&mut self, name: &str, value: &dyn Display) {
        self.key(name);
        let _ = write!(self.0, "{value}");
    }

    /// Writes a number, or null.
    pub(super) fn maybe_number(&mut self, name: &str, value: Option<u64>) {
        match value {
            Some(value) => self.value(name, &value),
            None => self.value(name, &"null"),
        }
    }

    fn string(&mut self, text: &str) {
        self.0.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => self.0.extend(['\\', c]),
                // The text must stay harmless inside of HTML, too.
                '<' | '\0'..='\u{1f}' | '\u{7f}' => {
                    let _ = write!(self.0, "\\u{:04x}", u32::from(c));
                }
                _ => self.0.push(c),
            }
        }
        self.0.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object() {
        let mut out = Json::new();
        out.text("a\"", "\\\n<\u{e9}\u{7f}");
        out.open("list", '[');
        out.open("", '{');
        out.value("on", &true);
        out.maybe("none", None);
        out.close('}');
        out.open("", '{');
        out.close('}');
        out.close(']');
        out.value("n", &-5);
        out.maybe_number("most", Some(u64::MAX));
        assert_eq!(
            out.finish(),
            "{\"a\\\"\":\"\\\\\\u000a\\u003cé\\u007f\",\"list\":[{\"on\":true,\"none\":null},{}],\
             \"n\":-5,\"most\":18446744073709551615}\n"
        );
    }
}
