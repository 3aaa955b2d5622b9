//! Lays the tokenizers' tables out as they are searched: see `src/table.rs` and `src/class.rs`.

use std::collections::BTreeMap;
use std::path::Path;

#[path = "src/hash.rs"]
mod hash;

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/hash.rs");
    let folder = std::env::var("OUT_DIR")?;
    let write = |name: &str, bytes: &[u8]| std::fs::write(Path::new(&folder).join(name), bytes);
    write("o200k", &table(tiktoken_rs::o200k_base_singleton())?)?;
    write("cl100k", &table(tiktoken_rs::cl100k_base_singleton())?)?;
    write("classes", &classes()?)?;
    Ok(())
}

/// Slots for some more than there are tokens, in a power of two.
const SLOTS: usize = 1 << 18;
/// Tokens of which the first one's place is noted.
const GROUP: usize = 16;

/// How many tokens there are; where each sixteenth's bytes begin; how many bytes each has; the slots, three bytes each
/// with a token's number and one; all bytes.
fn table(tokenizer: &tiktoken_rs::CoreBPE) -> Result<Vec<u8>, Failed> {
    let tokens: Vec<Vec<u8>> = (0..).map_while(|rank| tokenizer.decode_bytes(&[rank]).ok()).collect();
    let mut slots = vec![0_usize; SLOTS];
    let (mut starts, mut lengths, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for (rank, token) in tokens.iter().enumerate() {
        if rank % GROUP == 0 {
            starts.extend_from_slice(&u32::try_from(all.len())?.to_le_bytes());
        }
        lengths.push(u8::try_from(token.len())?);
        all.extend_from_slice(token);
        let mut at = hash::of(token) as usize % SLOTS;
        while slots.get(at).is_some_and(|slot| *slot != 0) {
            at = (at + 1) % SLOTS;
        }
        if let Some(slot) = slots.get_mut(at) {
            *slot = rank + 1;
        }
    }
    let mut table = u32::try_from(tokens.len())?.to_le_bytes().to_vec();
    table.extend_from_slice(&starts);
    table.extend_from_slice(&lengths);
    for slot in slots {
        table.extend(u32::try_from(slot)?.to_le_bytes().iter().take(3));
    }
    table.extend_from_slice(&all);
    Ok(table)
}

/// The bits of `src/class.rs`.
const CLASSES: [(&str, u8); 8] = [
    (r"\p{Lu}", 1),
    (r"\p{Lt}", 1),
    (r"\p{Ll}", 2),
    (r"\p{Lm}", 4),
    (r"\p{Lo}", 4),
    (r"\p{M}", 8),
    (r"\p{N}", 16),
    (r"\s", 32),
];

/// Each character from which on there is another class: the character's number times 256, and the class.
fn classes() -> Result<Vec<u8>, Failed> {
    let mut changes = BTreeMap::from([(0_u32, 0_u8)]);
    for (pattern, class) in CLASSES {
        let parsed = regex_syntax::parse(pattern)?;
        let regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(ranges)) = parsed.kind()
        else {
            return Err(format!("{pattern} is no class").into());
        };
        for range in ranges.iter() {
            changes.insert(u32::from(range.start()), class);
            changes.entry(u32::from(range.end()) + 1).or_insert(0);
        }
    }
    Ok(changes.iter().flat_map(|(from, class)| (from << 8 | u32::from(*class)).to_le_bytes()).collect())
}
