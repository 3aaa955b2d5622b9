//! The check sum of bytes that are kept: CRC-32, as gzip has it. Tells what was torn or changed by accident
//! from what is whole.

/// The check sum of these bytes.
pub(crate) fn of(bytes: &[u8]) -> u32 {
    of_both(bytes, &[])
}

/// The check sum of these, one behind the other.
pub(crate) fn of_both(first: &[u8], second: &[u8]) -> u32 {
    #[cfg(not(target_arch = "wasm32"))]
    {
        let mut sum = crc32fast::Hasher::new();
        sum.update(first);
        sum.update(second);
        sum.finalize()
    }
    #[cfg(target_arch = "wasm32")]
    {
        small(first.iter().chain(second))
    }
}

/// The same with a table of a kilobyte in place of sixteen, which would be a sixtieth of a Worker.
#[cfg(any(test, target_arch = "wasm32"))]
fn small<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    !bytes.fold(!0, |sum, byte| {
        let place = (sum ^ u32::from(*byte)) & 0xff;
        (sum >> 8) ^ TABLE.get(place as usize).copied().unwrap_or_default()
    })
}

#[cfg(any(test, target_arch = "wasm32"))]
#[expect(clippy::indexing_slicing, reason = "it is made when this is compiled")]
const TABLE: [u32; 256] = {
    /// The polynomial, its lowest power first.
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = (sum >> 1) ^ ((sum & 1) * POLYNOMIAL);
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_ways_come_to_the_same(first: Vec<u8>, second: Vec<u8>) {
            prop_assert_eq!(small(first.iter().chain(&second)), of_both(&first, &second));
            prop_assert_eq!(of(&[first.clone(), second.clone()].concat()), of_both(&first, &second));
        }
    }

    #[test]
    fn it_is_the_one_everybody_has() {
        assert_eq!(small(b"123456789".iter()), 0xcbf4_3926);
        assert_eq!(of(b"123456789"), 0xcbf4_3926);
    }
}
