//! Wrong documents and every line that is said of them.

use super::*;

/// A name, a document, and its errors.
struct Case {
    document: &'static str,
    errors: &'static [&'static str],
}

#[track_caller]
fn check(cases: &[Case]) {
    for Case { document, errors: expected } in cases {
        assert_eq!(errors(document), *expected, "\nin:\n{document}");
    }
}
