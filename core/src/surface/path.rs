//! Where a value stands in a body, told only if something is wrong with it.

use std::fmt;

/// A path that is put together when it is shown: `messages[3].content[0].source.data`.
#[derive(Clone, Copy)]
pub(super) struct Path<'p> {
    above: Option<&'p Path<'p>>,
    step: Step,
}

#[derive(Clone, Copy)]
enum Step {
    Field(&'static str),
    Item(usize),
}

impl<'p> Path<'p> {
    /// A field of the body.
    pub(super) const fn root(field: &'static str) -> Self {
        Self { above: None, step: Step::Field(field) }
    }

    /// A field of the object here.
    pub(super) const fn field(&'p self, field: &'static str) -> Self {
        Self { above: Some(self), step: Step::Field(field) }
    }

    /// An element of the array here.
    pub(super) const fn item(&'p self, at: usize) -> Self {
        Self { above: Some(self), step: Step::Item(at) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(f)?;
        }
        match (self.step, self.above) {
            (Step::Field(name), None) => f.write_str(name),
            (Step::Field(name), Some(_)) => write!(f, ".{name}"),
            (Step::Item(at), _) => write!(f, "[{at}]"),
        }
    }
}
