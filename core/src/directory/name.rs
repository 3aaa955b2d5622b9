//! What names may be: they stand in scopes' names, headers, logs and stores' keys.

/// Bytes of a name.
pub const MAX_NAME: usize = 128;

/// Bytes of an end user's id; the rest is cut off.
pub const MAX_END_USER: usize = 128;

/// What is wrong with the name of a key, team, user, organisation or tag; `None` if nothing is.
pub fn wrong_name(name: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+:#=() ".contains(&byte);
    if name.is_empty() {
        Some("the name is empty".to_owned())
    } else if name.len() > MAX_NAME {
        Some(format!("the name has {} bytes", name.len()))
    } else if !name.bytes().all(fits) {
        Some("the name holds a character that names cannot have".to_owned())
    } else if name.trim() != name {
        Some("the name begins or ends with a space".to_owned())
    } else {
        None
    }
}

/// An end user's id as scopes and records carry it: cut to its length, and without what could be
/// mistaken for a separator or end a line. Two ids may become one; only a blank one becomes nobody's.
pub fn end_user(id: &str) -> String {
    let mut kept = String::with_capacity(id.len().min(MAX_END_USER));
    for letter in id.trim().chars() {
        let letter = if letter.is_control() || "{}/".contains(letter) { '_' } else { letter };
        if kept.len() + letter.len_utf8() > MAX_END_USER {
            break;
        }
        kept.push(letter);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_plain_and_without_a_slash() {
        for good in ["ci", "ann@example.com", "Team 7 (EU)", "a:b+c=d#e", "_"] {
            assert_eq!(wrong_name(good), None, "{good}");
        }
        let long = "x".repeat(MAX_NAME + 1);
        for wrong in ["", " ", "a ", "a/b", "a\nb", "a\0", "a{b}", "ä", "a'; DROP TABLE keys", "\"", &long] {
            assert!(wrong_name(wrong).is_some(), "{wrong:?}");
        }
    }

    #[test]
    fn an_end_users_id_is_cut_at_a_character_and_ends_no_line() {
        assert_eq!(end_user(" 77 "), "77");
        assert_eq!(end_user("a/b{c}\r\nd"), "a_b_c___d");
        assert_eq!(end_user(&"é".repeat(200)).len(), MAX_END_USER);
    }
}
