//! Dates in web servers' logs, `09/Sep/2001:03:46:40 +0200`. They are read in
//! any zone and written in UTC.

use crate::sys::date::{self, DAY, DateTime};

/// Removes a number of at most `digits` digits from the front of `text`.
fn number(text: &mut &[u8], digits: usize) -> Option<i64> {
    let count = text.iter().take(digits);
    let count = count.take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(count)?;
    *text = rest;
    let add = |sum, digit: &u8| sum * 10 + i64::from(digit - b'0');
    (count > 0).then(|| number.iter().fold(0, add))
}

/// Removes such a number, and the byte `end` that must follow it.
fn number_before(end: u8, text: &mut &[u8], digits: usize) -> Option<i64> {
    let number = number(text, digits)?;
    *text = text.strip_prefix(&[end])?;
    Some(number)
}

/// Reads the date at the front of `text`, which must end before a `]`. Returns
/// it in seconds since 1970, and its length in bytes. A date without a zone is
/// in UTC; fractions of a second are ignored.
pub(super) fn parse(text: &[u8]) -> Option<(i64, usize)> {
    let mut rest = text;
    let day = number_before(b'/', &mut rest, 2)?;
    let (name, mut rest) = rest.split_at_checked(3)?;
    let month = date::month(name)?;
    rest = rest.strip_prefix(b"/")?;
    let year = number_before(b':', &mut rest, 4)?;
    let hour = number_before(b':', &mut rest, 2)?;
    let minute = number_before(b':', &mut rest, 2)?;
    let second = number(&mut rest, 2)?;
    if let Some(fraction) = rest.strip_prefix(b".") {
        rest = fraction;
        number(&mut rest, 9)?;
    }
    let ahead = match rest.strip_prefix(b" ") {
        Some(zone) => {
            rest = zone;
            seconds_ahead(&mut rest)?
        }
        None => 0,
    };
    // A leap second has the number 60.
    if rest.first() != Some(&b']') || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = date::days_from_civil(year, month, day);
    if year < 1900 || date::civil_from_days(days) != (year, month, day) {
        return None;
    }
    let time = days * DAY + hour * 3_600 + minute * 60 + second - ahead;
    Some((time, text.len() - rest.len()))
}

/// Removes a zone like `+0200` from the front of `text`. Returns how many
/// seconds it is ahead of UTC.
fn seconds_ahead(text: &mut &[u8]) -> Option<i64> {
    let (sign, digits) = text.split_first()?;
    let sign = match sign {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    *text = digits;
    let number = number(text, 4)?;
    let (hours, minutes) = (number / 100, number % 100);
    let good = digits.len() - text.len() == 4 && minutes < 60;
    good.then_some(sign * (hours * 3_600 + minutes * 60))
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
