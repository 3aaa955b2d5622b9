//! The plan of a response body: what is written, when, and where it breaks.

use std::time::Duration;

use bytes::Bytes;

use crate::quirks::{Breaks, Form, Pace, Quirks};

/// One step of writing a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The end of an event, for the count in the log.
    Event,
    Send(Bytes),
    Wait(Duration),
    /// Until the gate lets it through.
    Gate,
    /// Nothing more, ever.
    Silence,
    /// A comment at this interval, for ever.
    Heartbeats(Duration),
    /// Closes the connection without the body's end.
    Cut,
}

/// Plans the writing of `pieces`, each an event of a stream or the one piece of a whole answer.
pub(crate) fn plan(pieces: Vec<Bytes>, quirks: &Quirks) -> Vec<Step> {
    let Quirks { pace, breaks, form, .. } = quirks;
    let mut steps = Vec::with_capacity(pieces.len() * 2 + 2);
    steps.extend(pace.first_delay.map(Step::Wait));
    if pace.first_silence {
        steps.push(silence(pace));
        return steps;
    }
    for (at, piece) in pieces.into_iter().enumerate() {
        if let Some(end) = ending(at, pace, breaks) {
            steps.push(end);
            return limit(steps, breaks);
        }
        if at > 0 && form.drip_bytes.is_none() {
            steps.extend(pace.drip.map(Step::Wait));
        }
        if pace.is_gated_at(at) {
            steps.push(Step::Gate);
        }
        write(&mut steps, piece, pace, form);
    }
    steps.extend(ending(usize::MAX, pace, breaks));
    limit(steps, breaks)
}

/// What stands in place of the event number `at`, if the exchange ends here.
fn ending(at: usize, pace: &Pace, breaks: &Breaks) -> Option<Step> {
    if breaks.cut_after_events.is_some_and(|most| at >= most) {
        return Some(Step::Cut);
    }
    pace.stall_after.is_some_and(|most| at >= most).then(|| silence(pace))
}

fn silence(pace: &Pace) -> Step {
    pace.heartbeat.map_or(Step::Silence, Step::Heartbeats)
}

fn write(steps: &mut Vec<Step>, mut piece: Bytes, pace: &Pace, form: &Form) {
    let most = form.drip_bytes.or(form.split).unwrap_or(usize::MAX);
    while piece.len() > most {
        steps.push(Step::Send(piece.split_to(most)));
        steps.extend(rest(pace, form));
    }
    steps.push(Step::Send(piece));
    steps.push(Step::Event);
    steps.extend(rest(pace, form));
}

fn rest(pace: &Pace, form: &Form) -> Option<Step> {
    form.drip_bytes.map(|_| Step::Wait(pace.drip.unwrap_or(Duration::from_millis(1))))
}

/// Cuts the plan after so many bytes; a body that is shorter is cut where it would have ended.
fn limit(steps: Vec<Step>, breaks: &Breaks) -> Vec<Step> {
    let Some(mut left) = breaks.cut_after_bytes else { return steps };
    let mut made = Vec::with_capacity(steps.len());
    for step in steps {
        match step {
            Step::Send(mut piece) if piece.len() >= left => {
                if left > 0 {
                    made.push(Step::Send(piece.split_to(left)));
                }
                made.push(Step::Cut);
                return made;
            }
            Step::Send(piece) => {
                left -= piece.len();
                made.push(Step::Send(piece));
            }
            other @ (Step::Event
            | Step::Wait(_)
            | Step::Gate
            | Step::Silence
            | Step::Heartbeats(_)
            | Step::Cut) => {
                made.push(other);
            }
        }
    }
    made.push(Step::Cut);
    made
}
