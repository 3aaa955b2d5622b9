//! Letters without their case and white space without its length.

/// What has been read before the next character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Before {
    /// White space, which is one space however much there is of it.
    Blank,
    /// Anything else, or nothing.
    #[default]
    Other,
}

impl Before {
    /// What a character comes to; nothing for one that cannot be seen, or for more white space.
    pub(super) fn fold(&mut self, c: char) -> Option<char> {
        if c.is_whitespace() {
            return (std::mem::replace(self, Self::Blank) == Self::Other).then_some(' ');
        }
        if matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}') {
            return None;
        }
        *self = Self::Other;
        Some(lower(c))
    }
}

/// The small letter of a large one. Of Latin, Greek, Cyrillic and Armenian script; the standard library's
/// table of all scripts is more than a Worker has room for.
fn lower(c: char) -> char {
    let code = u32::from(c);
    let even = code & 1 == 0;
    let small = match code {
        0x41..=0x5a => code + 32,
        0..0xc0 => code,
        0xd7 | 0x138 => code,
        0xc0..=0xde => code + 32,
        0x130 => 0x69,
        0x178 => 0xff,
        0x139..=0x148 | 0x179..=0x17e if !even => code + 1,
        0x139..=0x148 | 0x179..=0x17e => code,
        0x100..=0x177 | 0x1e00..=0x1e95 | 0x1ea0..=0x1eff if even => code + 1,
        0x386 => 0x3ac,
        0x388..=0x38a => code + 37,
        0x38c => 0x3cc,
        0x38e | 0x38f => code + 63,
        0x391..=0x3a1 | 0x3a3..=0x3ab => code + 32,
        0x3c2 => 0x3c3,
        0x400..=0x40f => code + 80,
        0x410..=0x42f => code + 32,
        0x4c0 => 0x4cf,
        0x4c1..=0x4ce if !even => code + 1,
        0x4c1..=0x4ce => code,
        0x460..=0x481 | 0x48a..=0x52f if even => code + 1,
        0x531..=0x556 => code + 48,
        0xff21..=0xff3a => code + 32,
        _ => code,
    };
    char::from_u32(small).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_letters_become_the_standard_librarys_small_ones() {
        let scripts = [0..0x180, 0x386..0x3cf, 0x400..0x530, 0x531..0x557, 0x1e00..0x1e96, 0x1ea0..0x1f00];
        for c in scripts.into_iter().flatten().filter_map(char::from_u32) {
            let expected = match c {
                'İ' => 'i',
                'ς' => 'σ',
                c => c.to_lowercase().next().unwrap(),
            };
            assert_eq!(lower(c), expected, "{c} {:x}", u32::from(c));
        }
    }

    #[test]
    fn white_space_of_any_kind_and_length_is_one_space() {
        let mut before = Before::default();
        let folded: String =
            " \u{a0}A\r\n\t b\u{200b}C\u{3000}d".chars().filter_map(|c| before.fold(c)).collect();
        assert_eq!(folded, " a bc d");
    }
}
