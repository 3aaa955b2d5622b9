//! Tool call ids in letters that every dialect accepts: `^[a-zA-Z0-9_-]+$`.
//!
//! An id that fits is written as it is. Any other is written as `tgx_` followed by its bytes, letters,
//! digits and `-` as they are and every other byte as `_` and two hex digits; an id that begins with
//! `tgx_` itself is written so too, which makes the mapping one to one.

const PREFIX: &str = "tgx_";

/// The id in plain letters.
pub(crate) fn plain(id: &str) -> String {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !id.is_empty() && id.bytes().all(fits) && !id.starts_with(PREFIX) {
        return id.to_owned();
    }
    let mut plain = PREFIX.to_owned();
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            plain.push(char::from(byte));
        } else {
            plain.push_str(&format!("_{byte:02x}"));
        }
    }
    plain
}

/// The id that is written so. What nobody has written so stands for itself.
pub(crate) fn original(plain: &str) -> String {
    read(plain).unwrap_or_else(|| plain.to_owned())
}

fn read(plain: &str) -> Option<String> {
    let mut rest = plain.strip_prefix(PREFIX)?.bytes();
    let mut bytes = Vec::with_capacity(plain.len());
    while let Some(byte) = rest.next() {
        if byte != b'_' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let digits = std::str::from_utf8(&digits).ok().filter(|digits| !digits.starts_with('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_that_fit_are_left_alone() {
        assert_eq!(plain("toolu_01-x"), "toolu_01-x");
        assert_eq!(plain("functions.look:0"), "tgx_functions_2elook_3a0");
        for own in ["toolu_01", "tgx_a_", "tgx__zz", "tgx__ff", "tgx__+1"] {
            assert_eq!(original(own), own);
        }
    }

    proptest! {
        #[test]
        fn every_id_fits_and_can_be_read_back(id in "\\PC{1,40}") {
            let plain = plain(&id);
            prop_assert!(plain.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
            prop_assert_eq!(original(&plain), id);
        }
    }
}
