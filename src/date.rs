//! Dates and times in UTC.
//!
//! The arithmetic is done by hand: the calendar is the Gregorian one, and
//! neither the host's time zone nor a table of zones is of any use here.

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// From the day of 1 January 1970.
const WEEK: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;
/// Days of 400 years, after which the calendar repeats.
const ERA: i64 = 146_097;
/// Days from 1 March of the year 0, where eras start, to 1 January 1970.
const EPOCH: i64 = 719_468;

/// A second in UTC.
pub(crate) struct DateTime {
    pub(crate) year: i64,
    /// From 1.
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
}

impl DateTime {
    /// Of seconds since 1970.
    pub(crate) fn utc(time: i64) -> DateTime {
        let (year, month, day) = civil_from_days(time.div_euclid(DAY));
        let second = time.rem_euclid(DAY);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        DateTime { year, month, day, hour, minute, second }
    }

    /// `Jan`
    pub(crate) fn month_name(&self) -> &'static str {
        name(&MONTHS, self.month - 1)
    }
}

fn name(names: &[&'static str], index: i64) -> &'static str {
    let name = usize::try_from(index).ok().and_then(|index| names.get(index));
    name.copied().unwrap_or_default()
}

/// The number, from 1, of a month named like `Jan`, in whichever case.
pub(crate) fn month(name: &[u8]) -> Option<i64> {
    let mut months = (1..).zip(&MONTHS);
    Some(months.find(|(_, month)| month.as_bytes().eq_ignore_ascii_case(name))?.0)
}

/// Days since 1970 of a day of the Gregorian calendar.
///
/// The year is taken to start in March, so that a leap day is its last day: the
/// months before it then have their lengths in a pattern that repeats each five
/// months, 153 days.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * ERA + day_of_era - EPOCH
}

/// The other way round: year, month from 1, day from 1.
pub(crate) fn civil_from_days(days: i64) -> (i64, i64, i64) {
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
    let weekday = name(&WEEK, time / DAY % 7);
    let utc = DateTime::utc(time);
    let (day, month, year) = (utc.day, utc.month_name(), utc.year);
    let (hour, minute, second) = (utc.hour, utc.minute, utc.second);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
