//! Dates of the Gregorian calendar in UTC, from and to seconds since 1970. The
//! host's time zone has no influence on them.

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The days of the week from that of 1 January 1970, which was a Thursday.
const WEEK: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// Seconds in a day. UTC as computers count it has no leap seconds.
pub(crate) const DAY: i64 = 86_400;
/// Days in 400 years, after which the calendar repeats.
const ERA: i64 = 146_097;
/// Days from 1 March of the year 0, when the first 400 years start, to 1 January
/// 1970.
const EPOCH: i64 = 719_468;

/// A date and time of day, in UTC.
pub(crate) struct DateTime {
    pub(crate) year: i64,
    /// 1 is January.
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
}

impl DateTime {
    /// Converts seconds since 1970.
    pub(crate) fn utc(time: i64) -> DateTime {
        let (year, month, day) = civil_from_days(time.div_euclid(DAY));
        let second = time.rem_euclid(DAY);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        DateTime { year, month, day, hour, minute, second }
    }

    /// The English name in three letters, as in `Jan`.
    pub(crate) fn month_name(&self) -> &'static str {
        name(&MONTHS, self.month - 1)
    }
}

fn name(names: &[&'static str], index: i64) -> &'static str {
    let name = usize::try_from(index).ok().and_then(|index| names.get(index));
    name.copied().unwrap_or_default()
}

/// Finds a month by its name, as in `Jan`, in upper or lower case; 1 is January.
pub(crate) fn month(name: &[u8]) -> Option<i64> {
    let mut months = (1..).zip(&MONTHS);
    Some(months.find(|(_, month)| month.as_bytes().eq_ignore_ascii_case(name))?.0)
}

/// Converts a date to days since 1970.
///
/// The computation starts years in March, so that a leap day is the last day of
/// its year. The lengths of the months then repeat every five months, which
/// have 153 days.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * ERA + day_of_era - EPOCH
}

/// Converts days since 1970 to the year, the month and the day.
pub(crate) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let era = days.div_euclid(ERA);
    let day_of_era = days.rem_euclid(ERA);
    // Without leap days, every year has 365 days. There is one leap day in 4
    // years (1,461 days), none in every 100th year (36,524 days), and one in
    // every 400th.
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / (ERA - 1);
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// Writes seconds since 1970 as HTTP does, `Sun, 06 Nov 1994 08:49:37 GMT`
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
