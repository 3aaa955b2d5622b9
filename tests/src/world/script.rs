//! What simulated upstreams do, and when.

use super::Dice;
use tollgate_core::units::Millis;

/// How one upstream call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// A good answer.
    Good,
    /// A good answer that takes its time for the first byte.
    SlowStart,
    /// An error status, with or without `retry-after` in seconds.
    Status(u16, Option<u64>),
    /// Nothing ever comes.
    Silence,
    /// The head comes, then nothing.
    SilentBody,
    /// So many bytes of a good answer, then nothing.
    Stall(usize),
    /// So many bytes of a good answer, then the connection breaks.
    Cut(usize),
    /// So many bytes of a good answer, then a clean end of the body.
    EndEarly(usize),
    /// The connection is refused.
    Unreachable,
    /// A kept connection turns out to be closed; a good answer over a fresh one.
    Stale,
    /// An error as the first event, or inside a 200 answer.
    ErrorFirst,
    /// An error after the first events.
    ErrorMidway,
    /// A good answer without usage.
    NoUsage,
    /// A good answer that tells its usage twice.
    DoubleUsage,
    /// Something that is not JSON and not a stream.
    Garbage,
    /// An empty body.
    Empty,
    /// The whole answer where a stream was asked for, or the other way round.
    WrongForm,
}

/// How behaviours are drawn.
#[derive(Clone, Debug)]
pub enum Script {
    /// One in so many calls is faulty.
    Faulty(u64),
    /// These, in order, over and over.
    Fixed(Vec<Behaviour>),
}

impl Script {
    /// The behaviour of the world's `n`th call.
    pub fn draw(&self, dice: &Dice, n: usize) -> Behaviour {
        match self {
            Self::Fixed(list) => list[n % list.len()],
            Self::Faulty(one_in) if !dice.one_in(*one_in) => Behaviour::Good,
            Self::Faulty(_) => fault(dice),
        }
    }
}

fn fault(dice: &Dice) -> Behaviour {
    const STATUS: [u16; 12] = [400, 401, 403, 404, 408, 409, 429, 500, 502, 503, 504, 529];
    match dice.below(19) {
        0..=2 => {
            let status = STATUS[dice.below(STATUS.len() as u64) as usize];
            Behaviour::Status(status, dice.one_in(2).then(|| dice.below(20)))
        }
        3 => Behaviour::Silence,
        4 => Behaviour::SilentBody,
        5 => Behaviour::Stall(dice.below(900) as usize),
        6 | 7 => Behaviour::Cut(dice.below(900) as usize),
        8 => Behaviour::EndEarly(dice.below(900) as usize),
        9 => Behaviour::Unreachable,
        10 => Behaviour::ErrorFirst,
        11 => Behaviour::ErrorMidway,
        12 => Behaviour::NoUsage,
        13 => Behaviour::DoubleUsage,
        14 => Behaviour::Garbage,
        15 => Behaviour::Empty,
        16 => Behaviour::WrongForm,
        17 => Behaviour::Stale,
        _ => Behaviour::SlowStart,
    }
}

/// How long something takes.
pub fn delay(dice: &Dice) -> Millis {
    Millis(match dice.below(10) {
        0 => dice.below(2_000),
        1..=3 => dice.below(200),
        _ => dice.below(20),
    })
}
