//! Dates of web-server logs, `09/Sep/2001:03:46:40 +0200`, from and to seconds
//! since 1970.
//!
//! The arithmetic is done by hand: the calendar is the Gregorian one, a line
//! says itself how far it is from UTC, and output is in UTC, so neither the
//! host's time zone nor a table of zones is of any use here.

use std::fmt::Write as _;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// From the day of 1 January 1970.
const WEEK: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// Seconds of a day.
const DAY: i64 = 86_400;
/// Days of 400 years, after which the calendar repeats.
const ERA: i64 = 146_097;
/// Days from 1 March of the year 0, where eras start, to 1 January 1970.
const EPOCH: i64 = 719_468;

/// Days since 1970 of a day of the Gregorian calendar.
///
/// The year is taken to start in March, so that a leap day is its last day: the
/// months before it then have their lengths in a pattern that repeats each five
/// months, 153 days.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * ERA + day_of_era - EPOCH
}

/// The other way round: year, month from 1, day from 1.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let era = days.div_euclid(ERA);
    let day_of_era = days.rem_euclid(ERA);
    // Without the leap days before it, each year has 365: one is in each 4
    // years (1,461 days), none in each 100th (36,524), one at the era's end.
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / (ERA - 1);
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`: seconds since 1970 as HTTP writes them
/// (RFC 9110, 5.6.7).
pub(crate) fn http(time: u64) -> String {
    let time = i64::try_from(time).unwrap_or_default();
    let (days, second) = (time / DAY, time % DAY);
    let (year, month, day) = civil_from_days(days);
    let pick = |names: &'static [&'static str], index: i64| {
        let name = usize::try_from(index).ok().and_then(|n| names.get(n));
        name.copied().unwrap_or_default()
    };
    let (name, month) = (pick(&WEEK, days % 7), pick(&MONTHS, month - 1));
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{name}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Takes a number of at most `digits` digits from the front.
fn number(text: &mut &[u8], digits: usize) -> Option<i64> {
    let count = text.iter().take(digits);
    let count = count.take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(count)?;
    *text = rest;
    let add = |sum, digit: &u8| sum * 10 + i64::from(digit - b'0');
    (count > 0).then(|| number.iter().fold(0, add))
}

/// Takes this byte from the front.
fn byte(text: &mut &[u8], wanted: u8) -> Option<()> {
    *text = text.strip_prefix(&[wanted])?;
    Some(())
}

/// Reads the date at the front of `text`, up to its `]`: the seconds since 1970
/// and how long the date is. Without a zone it is UTC; fractions of a second
/// are read and left out.
pub(super) fn parse(text: &[u8]) -> Option<(i64, usize)> {
    let mut rest = text;
    let rest = &mut rest;
    let day = number(rest, 2)?;
    byte(rest, b'/')?;
    let (name, after) = rest.split_at_checked(3)?;
    *rest = after;
    let is_name = |month: &&str| month.as_bytes().eq_ignore_ascii_case(name);
    let month = (1..).zip(&MONTHS).find(|(_, month)| is_name(month))?.0;
    byte(rest, b'/')?;
    let year = number(rest, 4)?;
    byte(rest, b':')?;
    let hour = number(rest, 2)?;
    byte(rest, b':')?;
    let minute = number(rest, 2)?;
    byte(rest, b':')?;
    let second = number(rest, 2)?;
    if byte(rest, b'.').is_some() {
        number(rest, 9)?;
    }
    let ahead = match rest.first()? {
        b']' => 0,
        _ => zone(rest)?,
    };
    // 60 is a leap second.
    if rest.first() != Some(&b']') || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    if year < 1900 || civil_from_days(days) != (year, month, day) {
        return None;
    }
    let time = days * DAY + hour * 3_600 + minute * 60 + second - ahead;
    Some((time, text.len() - rest.len()))
}

/// ` +0200`: seconds ahead of UTC.
fn zone(rest: &mut &[u8]) -> Option<i64> {
    byte(rest, b' ')?;
    let (sign, after) = rest.split_first()?;
    let sign = match sign {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    *rest = after;
    let number = number(rest, 4)?;
    let (hours, minutes) = (number / 100, number % 100);
    let good = after.len() - rest.len() == 4 && minutes < 60;
    good.then_some(sign * (hours * 3_600 + minutes * 60))
}

/// Writes dates in UTC. Lines come in the order of time, so the one made last
/// is mostly wanted again.
#[derive(Default)]
pub(super) struct Writer {
    last: Option<i64>,
    text: String,
}

impl Writer {
    /// `09/Sep/2001:01:46:40 +0000`
    pub(super) fn utc(&mut self, time: i64) -> &[u8] {
        if self.last != Some(time) {
            self.last = Some(time);
            let (year, month, day) = civil_from_days(time.div_euclid(DAY));
            let name = usize::try_from(month - 1).ok().and_then(|m| MONTHS.get(m));
            let name = name.copied().unwrap_or_default();
            let second = time.rem_euclid(DAY);
            let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
            self.text.clear();
            // Writing to a string cannot fail.
            let _ = write!(
                self.text,
                "{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000"
            );
        }
        self.text.as_bytes()
    }
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
    fn days_count_up_through_800_years() {
        let (mut year, mut month, mut day) = (1600, 1, 1);
        let first = days_from_civil(year, month, day);
        for days in first..first + 2 * ERA {
            assert_eq!(days_from_civil(year, month, day), days);
            assert_eq!(civil_from_days(days), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + i64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        assert_eq!((year, month, day), (2400, 1, 1));
        assert_eq!(days_from_civil(1970, 1, 1), 0);
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
        let mut writer = Writer::default();
        for (time, text) in [
            (1_000_000_000, "09/Sep/2001:01:46:40 +0000"),
            (1_000_000_000, "09/Sep/2001:01:46:40 +0000"),
            (-1, "31/Dec/1969:23:59:59 +0000"),
            (951_782_400, "29/Feb/2000:00:00:00 +0000"),
        ] {
            assert_eq!(std::str::from_utf8(writer.utc(time)).unwrap(), text);
        }
    }
}
