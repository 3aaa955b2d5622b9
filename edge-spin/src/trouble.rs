//! What is wrong, in one line that says what to add to which file.

use spin_sdk::wasip3::http::types::ErrorCode;
use tollgate_edge::document::Problem;

/// Writes a line where the platform collects them.
pub(crate) fn say(line: &str) {
    eprintln!("tollgate: {line}");
}

/// Why an upstream could not be called.
pub(crate) fn of_fetch(origin: &str, code: &ErrorCode) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the platform's enum: what matters is one of forty")]
    match code {
        ErrorCode::HttpRequestDenied => {
            let line =
                format!("{origin} is not allowed: add \"{origin}\" to allowed_outbound_hosts in spin.toml");
            say(&line);
            line
        }
        ErrorCode::InternalError(Some(why)) => why.chars().take(200).collect(),
        ErrorCode::InternalError(None) => "the platform does not say why".to_owned(),
        other => format!("{other:?}").trim_start_matches("ErrorCode::").to_owned(),
    }
}

/// Bytes that nobody else has.
pub(crate) fn entropy() -> Result<[u8; 32], Problem> {
    let mut bytes = [0; 32];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => Err(Problem(format!("the platform gives no random bytes: {error}"))),
    }
}
