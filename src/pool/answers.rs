//! When a server answered last, and how long the connects of the last minute took.
//!
//! Each connection adds to it, without a lock. A minute is four quarters, of which the
//! oldest is counted anew: what is reported covers 45 to 60 seconds.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long connects are counted together.
const QUARTER: u32 = 15;
const QUARTERS: usize = 4;

/// Four classes for each power of two of microseconds; the last one begins at 59 s.
const CLASSES: usize = 100;

/// How a server has answered.
#[derive(Debug)]
pub struct Answers {
    /// When counting began.
    start: Instant,
    /// Seconds from then to the last answer, and one more; 0 = no answer yet.
    last: AtomicU32,
    quarters: [Quarter; QUARTERS],
}

/// Connects by the time that they took.
#[derive(Debug)]
struct Quarter {
    /// Which quarter of a minute since the start it is; 0 = none yet.
    number: AtomicU32,
    counts: [AtomicU32; CLASSES],
}

impl Default for Answers {
    fn default() -> Answers {
        let quarters = std::array::from_fn(|_| Quarter {
            number: AtomicU32::new(0),
            counts: [const { AtomicU32::new(0) }; CLASSES],
        });
        Answers { start: Instant::now(), last: AtomicU32::new(0), quarters }
    }
}

impl Answers {
    /// Seconds since the start, and one more.
    fn seconds(&self, now: Instant) -> u32 {
        let seconds = now.saturating_duration_since(self.start).as_secs();
        u32::try_from(seconds).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Takes note of an answer.
    pub(crate) fn note(&self, now: Instant) {
        self.last.store(self.seconds(now), Relaxed);
    }

    /// How many seconds ago the last answer came.
    pub(crate) fn ago(&self, now: Instant) -> Option<u32> {
        let last = Some(self.last.load(Relaxed)).filter(|last| *last > 0);
        last.map(|last| self.seconds(now).saturating_sub(last))
    }

    /// Counts a connect. While the first one of a quarter makes room, those of other
    /// threads may be lost: these are few.
    pub(crate) fn count(&self, took: Duration, now: Instant) {
        let number = self.seconds(now).div_ceil(QUARTER);
        let Some(quarter) = self.quarters.get(number as usize % QUARTERS) else {
            return;
        };
        let old = quarter.number.load(Relaxed);
        if old < number && quarter.number.compare_exchange(old, number, Relaxed, Relaxed).is_ok() {
            quarter.counts.iter().for_each(|count| count.store(0, Relaxed));
        }
        if let Some(count) = quarter.counts.get(class(took)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// The median and the 99th percentile of the connects of the last minute, in
    /// microseconds, to an eighth; `None` if there were none.
    pub(crate) fn connect_us(&self, now: Instant) -> Option<[u64; 2]> {
        let number = self.seconds(now).div_ceil(QUARTER);
        let is_fresh = |quarter: &&Quarter| {
            let age = number.saturating_sub(quarter.number.load(Relaxed));
            (age as usize) < QUARTERS
        };
        let mut counts = [0_u64; CLASSES];
        for quarter in self.quarters.iter().filter(is_fresh) {
            for (sum, count) in counts.iter_mut().zip(&quarter.counts) {
                *sum += u64::from(count.load(Relaxed));
            }
        }
        let last = counts.iter().sum::<u64>().checked_sub(1)?;
        Some([50, 99].map(|share| {
            let mut rank = last.saturating_mul(share) / 100;
            let is_below = |count: &&u64| match rank.checked_sub(**count) {
                Some(rest) => {
                    rank = rest;
                    true
                }
                None => false,
            };
            let class = counts.iter().take_while(is_below).count();
            (floor(class) + floor(class + 1)) / 2
        }))
    }
}

/// The class of a time.
fn class(took: Duration) -> usize {
    let us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
    let Some(shift) = us.checked_ilog2().and_then(|power| power.checked_sub(2)) else {
        return us as usize;
    };
    let class = 4 * shift + (us >> shift);
    (class as usize).min(CLASSES - 1)
}

/// The least time of a class, in microseconds.
fn floor(class: usize) -> u64 {
    match class.checked_sub(4) {
        Some(more) => (4 + more as u64 % 4) << (more / 4),
        None => class as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_its_class() {
        let mut last = 0;
        for us in (0..5000).chain([1 << 20, (1 << 20) + 1, 59_000_000]) {
            let class = class(Duration::from_micros(us));
            assert!(floor(class) <= us && us < floor(class + 1), "{us}");
            assert!(class >= last && floor(class + 1) - floor(class) <= 1 + us / 4, "{us}");
            last = class;
        }
        assert_eq!(class(Duration::MAX), CLASSES - 1);
    }

    #[test]
    fn quantiles_are_of_the_last_minute() {
        let answers = Answers::default();
        let at = |seconds| answers.start + Duration::from_secs(seconds);
        assert_eq!((answers.connect_us(at(0)), answers.ago(at(0))), (None, None));
        answers.note(at(2));
        assert_eq!(answers.ago(at(7)), Some(5));
        for us in 1..=1000 {
            answers.count(Duration::from_micros(us), at(3));
        }
        let is_near = |[median, p99]: [u64; 2], wanted: [u64; 2]| {
            median.abs_diff(wanted[0]) * 8 <= wanted[0] && p99.abs_diff(wanted[1]) * 8 <= wanted[1]
        };
        assert!(is_near(answers.connect_us(at(3)).unwrap(), [500, 990]));
        answers.count(Duration::from_millis(1), at(50));
        assert!(is_near(answers.connect_us(at(59)).unwrap(), [500, 990]));
        assert!(is_near(answers.connect_us(at(60)).unwrap(), [1000, 1000]));
        // Its quarter is counted anew, without what it had.
        answers.count(Duration::from_micros(8), at(60));
        answers.count(Duration::from_micros(8), at(60));
        assert!(is_near(answers.connect_us(at(61)).unwrap(), [9, 9]), "two of three");
        assert_eq!(answers.connect_us(at(200)), None);
    }

    #[test]
    fn threads_count_together() {
        let answers = Answers::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        answers.count(Duration::from_micros(100), answers.start);
                    }
                });
            }
        });
        let all = answers.quarters.iter().flat_map(|quarter| &quarter.counts);
        let all: u32 = all.map(|count| count.load(Relaxed)).sum();
        assert!((3990..=4000).contains(&all), "{all}");
    }
}
