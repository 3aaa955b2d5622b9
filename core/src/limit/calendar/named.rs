//! Zones by their names in the IANA data base, where this is built with the feature `zones`.

#[cfg(feature = "zones")]
pub(super) use known::Named;
#[cfg(not(feature = "zones"))]
pub(super) use unknown::Named;

#[cfg(feature = "zones")]
mod known {
    use crate::limit::calendar::date::Date;
    use jiff::Timestamp;
    use jiff::tz::{TimeZone, TimeZoneDatabase};

    /// A zone as the place's governments have decided.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(in crate::limit::calendar) struct Named(TimeZone);

    impl Named {
        /// The zone of this name, in whatever case. `None` for one that is not known.
        pub(in crate::limit::calendar) fn find(name: &str) -> Option<Self> {
            TimeZoneDatabase::bundled().get(name).ok().map(Self)
        }

        /// Spelled as the data base does, so that one place is one zone.
        pub(in crate::limit::calendar) fn name(&self) -> Option<&str> {
            self.0.iana_name()
        }

        /// Seconds that clocks are ahead of UTC at a moment of the epoch; none where that is too far.
        pub(in crate::limit::calendar) fn offset(&self, seconds: i64) -> Option<i64> {
            let moment = Timestamp::from_second(seconds).ok()?;
            Some(i64::from(self.0.to_offset(moment).seconds()))
        }

        /// The first moment of a day. Where midnight is left out that is the moment after the gap,
        /// where it comes twice the first of them.
        pub(in crate::limit::calendar) fn midnight(&self, days: i64) -> Option<i64> {
            let Date { year, month, day } = Date::of(days);
            let (year, month, day) = (year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?);
            let date = jiff::civil::Date::new(year, month, day).ok()?;
            let moment = self.0.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
            Some(moment.as_second())
        }
    }
}

#[cfg(not(feature = "zones"))]
mod unknown {
    /// No zone has a name.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(in crate::limit::calendar) enum Named {}

    impl Named {
        pub(in crate::limit::calendar) fn find(_: &str) -> Option<Self> {
            None
        }

        pub(in crate::limit::calendar) fn name(&self) -> Option<&str> {
            match *self {}
        }

        pub(in crate::limit::calendar) fn offset(&self, _: i64) -> Option<i64> {
            match *self {}
        }

        pub(in crate::limit::calendar) fn midnight(&self, _: i64) -> Option<i64> {
            match *self {}
        }
    }
}
