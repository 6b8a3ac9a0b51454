//! Dates in web servers' logs, `09/Sep/2001:03:46:40 +0200`. They are read in
//! any zone and written in UTC.

use crate::sys::date::{self, DAY, DateTime};

/// Most bytes of a date.
const LONGEST: usize = 40;

/// Reads the date at the front of `text`, which must end before a `]`. Returns
/// it in seconds since 1970, and its length in bytes. A date without a zone is
/// in UTC; fractions of a second are ignored.
pub(super) fn parse(text: &[u8]) -> Option<(i64, usize)> {
    let length = text.iter().take(LONGEST).position(|byte| *byte == b']')?;
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    let (date, time) = text.split_once(':')?;
    let (time, zone) = time.split_once(' ').unwrap_or((time, "+0000"));
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let (mut date, mut time) = (date.splitn(3, '/'), time.splitn(3, ':'));
    let day = number(date.next()?, 2)?;
    let month = date::month(date.next()?.as_bytes())?;
    let year = number(date.next()?, 4)?;
    let hour = number(time.next()?, 2).filter(|hour| *hour < 24)?;
    let minute = number(time.next()?, 2).filter(|minute| *minute < 60)?;
    // A leap second has the number 60.
    let second = number(time.next()?, 2).filter(|second| *second <= 60)?;
    number(fraction, 9)?;
    let days = date::days_from_civil(year, month, day);
    if year < 1900 || date::civil_from_days(days) != (year, month, day) {
        return None;
    }
    Some((days * DAY + hour * 3_600 + minute * 60 + second - ahead(zone)?, length))
}

/// Reads a number of at most `digits` digits.
fn number(text: &str, digits: usize) -> Option<i64> {
    let is_number = text.len() <= digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// Returns how many seconds a zone like `+0200` is ahead of UTC.
fn ahead(zone: &str) -> Option<i64> {
    let (sign, digits) = match zone.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, zone.strip_prefix('+')?),
    };
    let number = number(digits, 4).filter(|number| digits.len() == 4 && number % 100 < 60)?;
    Some(sign * (number / 100 * 3_600 + number % 100 * 60))
}

/// Writes seconds since 1970 like `09/Sep/2001:01:46:40 +0000`.
pub(super) fn utc(time: i64) -> String {
    let utc = DateTime::utc(time);
    let (day, month, year) = (utc.day, utc.month_name(), utc.year);
    let (hour, minute, second) = (utc.hour, utc.minute, utc.second);
    format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Option<i64> {
        let all = format!("{text}] rest");
        let (time, length) = parse(all.as_bytes())?;
        assert_eq!(length, text.len(), "{text}");
        Some(time)
    }

    #[test]
    fn dates_are_read() {
        for (text, expected) in [
            ("09/Sep/2001:01:46:40 +0000", 1_000_000_000),
            ("09/Sep/2001:03:46:40 +0200", 1_000_000_000),
            ("08/Sep/2001:16:16:40 -0930", 1_000_000_000),
            ("09/Sep/2001:07:31:40 +0545", 1_000_000_000),
            ("09/Sep/2001:01:46:40", 1_000_000_000),
            ("09/Sep/2001:01:46:40.123 +0000", 1_000_000_000),
            ("9/sep/2001:1:46:40 +0000", 1_000_000_000),
            ("01/Jan/1970:00:00:00 +0000", 0),
            ("01/Jan/1970:00:00:00 +0100", -3_600),
            ("29/Feb/2000:23:59:60 +0000", 951_868_800),
            ("01/Mar/2000:00:00:00 +0000", 951_868_800),
            ("31/Dec/9999:23:59:59 -9959", 253_402_660_739),
        ] {
            assert_eq!(time(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "x",
            "09/Sep/2001",
            "09/Sep/2001:01:46",
            "00/Sep/2001:01:46:40 +0000",
            "31/Sep/2001:01:46:40 +0000",
            "29/Feb/2001:01:46:40 +0000",
            "09/Sex/2001:01:46:40 +0000",
            "09/Sep/0001:01:46:40 +0000",
            "09/Sep/20010:01:46:40 +0000",
            "09/Sep/2001:24:46:40 +0000",
            "09/Sep/2001:01:60:40 +0000",
            "09/Sep/2001:01:46:61 +0000",
            "09/Sep/2001:01:46:40. +0000",
            "09/Sep/2001:01:46:40 0000",
            "09/Sep/2001:01:46:40 +000",
            "09/Sep/2001:01:46:40 +00000",
            "09/Sep/2001:01:46:40 +0060",
            "09/Sep/2001:01:46:40 +02:0",
            "09/Sep/2001:01:46:40 CEST",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
        assert_eq!(parse(b"09/Sep/2001:01:46:40 +0000"), None, "no ]");
    }

    #[test]
    fn dates_are_written() {
        for (time, text) in [
            (1_000_000_000, "09/Sep/2001:01:46:40 +0000"),
            (-1, "31/Dec/1969:23:59:59 +0000"),
            (951_782_400, "29/Feb/2000:00:00:00 +0000"),
        ] {
            assert_eq!(utc(time), text);
        }
    }
}
