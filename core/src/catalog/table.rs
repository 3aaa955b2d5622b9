//! The rows as they are compiled in: `build.rs` lays them out, nothing is read at start.
//!
//! ```text
//!   NAMES    a line for each row, in byte order, found by binary search
//!   COLUMNS  for each row the numbers of its vendor, limits, source and prices: all low bytes, all high ones
//!   VENDORS, LIMITS, SOURCES, PRICES      each of these once
//! ```

use super::{Row, Source};

include!(concat!(env!("OUT_DIR"), "/catalog.rs"));

/// Lines of a text, and where each `STEP`th of them begins.
struct Lines {
    text: &'static str,
    starts: &'static [usize],
}

impl Lines {
    /// The lines from a beginning that is noted.
    fn from(&self, start: usize) -> impl Iterator<Item = &'static str> + use<> {
        self.text.get(start..).unwrap_or_default().split('\n')
    }

    fn get(&self, number: usize) -> Option<&'static str> {
        self.from(*self.starts.get(number / STEP)?).nth(number % STEP)
    }

    /// The number of the first line that is not less, where lines are sorted.
    fn first(&self, line: &str) -> usize {
        let less = |start: &usize| self.from(*start).next().is_some_and(|first| first < line);
        let Some(block) = self.starts.partition_point(less).checked_sub(1) else { return 0 };
        let start = self.starts.get(block).copied().unwrap_or_default();
        block * STEP + self.from(start).take(STEP).take_while(|known| *known < line).count()
    }
}

/// A column of numbers of two bytes.
#[derive(Clone, Copy)]
enum Column {
    Vendor,
    Limits,
    Source,
    Prices,
}

fn number(row: usize, column: Column) -> Option<usize> {
    let low = 2 * ROWS * column as usize + row;
    Some(usize::from(*COLUMNS.get(low)?) + 256 * usize::from(*COLUMNS.get(low + ROWS)?))
}

/// Every row, sorted by name.
pub(super) fn rows() -> impl Iterator<Item = Row> {
    NAMES.from(0).zip(0..).filter_map(|(name, number)| row(name, number))
}

/// The rows of one name.
pub(super) fn rows_of(name: &str) -> impl Iterator<Item = Row> {
    let numbers = NAMES.first(name)..ROWS;
    let named =
        numbers.map_while(move |number| Some((NAMES.get(number).filter(|known| *known == name)?, number)));
    named.filter_map(|(name, number)| row(name, number))
}

fn row(name: &'static str, row: usize) -> Option<Row> {
    let vendor = VENDORS.get(number(row, Column::Vendor)?)?;
    let [window, output] = *LIMITS.get(number(row, Column::Limits)?)?;
    let prices = PRICES.get(number(row, Column::Prices)?)?;
    Some(Row { name, vendor, window, output, prices, source: number(row, Column::Source)? })
}

/// A source by its number.
pub(super) fn source(number: usize) -> Option<Source> {
    let [date, page] = *SOURCES.get(number)?;
    Some(Source { date, page })
}
