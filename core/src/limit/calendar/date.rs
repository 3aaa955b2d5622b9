//! Days of the Gregorian calendar, as numbers from 1970-01-01 on.

pub(super) const SECONDS_A_DAY: i64 = 86_400;

/// A day by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i64,
    /// 1 to 12.
    pub(super) month: i64,
    /// 1 to 31.
    pub(super) day: i64,
}

impl Date {
    /// The name of a day. Years begin in March here, so that the leap day is a year's last.
    pub(super) fn of(days: i64) -> Self {
        let days = days.saturating_add(719_468);
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Self { year: era * 400 + year + i64::from(month <= 2), month, day }
    }

    /// The number of this day.
    pub(super) fn days(self) -> i64 {
        let Self { year, month, day } = self;
        let year = if month <= 2 { year - 1 } else { year };
        let march_month = (month + 9) % 12;
        let day_of_year = (153 * march_month + 2) / 5 + day - 1;
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
    }

    /// The first day of the month that is so many months after this day's.
    pub(super) fn month_begins(self, later: i64) -> i64 {
        let months = self.year * 12 + self.month - 1 + later;
        Self { year: months.div_euclid(12), month: months.rem_euclid(12) + 1, day: 1 }.days()
    }

    /// The first day of the year that is so many years after this day's.
    pub(super) fn year_begins(self, later: i64) -> i64 {
        Self { year: self.year + later, month: 1, day: 1 }.days()
    }
}
