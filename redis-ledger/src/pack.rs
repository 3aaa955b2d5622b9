//! MessagePack, as far as the scripts need it: maps, lists, texts, booleans, whole numbers.

/// The largest whole number that the scripts' doubles hold exactly; larger ones are sent as this.
const EXACT: u64 = 1 << 53;

/// A value being written.
#[derive(Debug, Default)]
pub(crate) struct Pack(Vec<u8>);

impl Pack {
    /// What was written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// A map; so many pairs of name and value must follow.
    pub(crate) fn map(&mut self, pairs: usize) {
        self.head(0xde, pairs);
    }

    /// A list; so many values must follow.
    pub(crate) fn list(&mut self, values: usize) {
        self.head(0xdc, values);
    }

    /// A name in a map; its value must follow.
    pub(crate) fn name(&mut self, name: &str) -> &mut Self {
        self.text(name);
        self
    }

    /// A text.
    pub(crate) fn text(&mut self, text: &str) {
        match u8::try_from(text.len()) {
            Ok(length) => self.0.extend([0xd9, length]),
            Err(_) => {
                self.0.push(0xdb);
                self.0.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
            }
        }
        self.0.extend(text.as_bytes());
    }

    /// A whole number.
    pub(crate) fn number(&mut self, number: u64) {
        match u8::try_from(number) {
            Ok(small) if small < 0x80 => self.0.push(small),
            _ => {
                self.0.push(0xcf);
                self.0.extend(number.min(EXACT).to_be_bytes());
            }
        }
    }

    /// True.
    pub(crate) fn yes(&mut self) {
        self.0.push(0xc3);
    }

    fn head(&mut self, marker: u8, length: usize) {
        self.0.push(marker);
        self.0.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    }
}

/// A map whose pairs are counted as they are written.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    pack: &'a mut Pack,
    head: usize,
    pairs: u16,
}

impl<'a> Fields<'a> {
    /// Opens a map.
    pub(crate) fn open(pack: &'a mut Pack) -> Self {
        let head = pack.0.len();
        pack.map(0);
        Self { pack, head, pairs: 0 }
    }

    /// Opens a pair; its value must be written.
    pub(crate) fn with(&mut self, name: &str) -> &mut Pack {
        self.pairs += 1;
        self.pack.name(name)
    }

    /// A number under a name.
    pub(crate) fn number(&mut self, name: &str, number: u64) {
        self.with(name).number(number);
    }

    /// A number under a name, if there is one.
    pub(crate) fn optional(&mut self, name: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.number(name, number);
        }
    }

    /// A text under a name.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.with(name).text(text);
    }

    /// A name that is there if something holds.
    pub(crate) fn flag(&mut self, name: &str, holds: bool) {
        if holds {
            self.with(name).yes();
        }
    }
}

impl Drop for Fields<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.pack.0.get_mut(self.head + 1..self.head + 3) {
            count.copy_from_slice(&self.pairs.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_headed_by_the_number_of_its_pairs() {
        let mut pack = Pack::default();
        let mut fields = Fields::open(&mut pack);
        fields.number("a", 1);
        fields.optional("b", None);
        fields.flag("c", true);
        drop(fields);
        assert_eq!(pack.into_bytes(), [0xde, 0, 2, 0xd9, 1, b'a', 1, 0xd9, 1, b'c', 0xc3]);
    }

    #[test]
    fn numbers_beyond_what_a_double_holds_are_capped() {
        let mut pack = Pack::default();
        pack.number(u64::MAX);
        assert_eq!(pack.into_bytes(), [0xcf, 0, 0x20, 0, 0, 0, 0, 0, 0]);
    }
}
