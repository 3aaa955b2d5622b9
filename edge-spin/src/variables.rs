//! Spin's variables, by the names that secrets have in a config.
//!
//! `env:OPENAI_API_KEY` is the variable `openai_api_key`: the same letters, lower case. Spin hands out
//! those that the component's table in `spin.toml` names; one that is empty counts as not set.

use futures::future::join_all;
use spin_sdk::variables::{Error, get};
use std::collections::BTreeMap;

/// What names stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variables(BTreeMap<String, Result<String, String>>);

impl Variables {
    /// All that are asked for, at once.
    pub(crate) async fn read(names: impl IntoIterator<Item = String>) -> Self {
        let all = names.into_iter().map(|name| async move {
            let value = value(&name).await;
            (name, value)
        });
        Self(join_all(all).await.into_iter().collect())
    }

    /// The value of a secret. The error says what to add where.
    pub(crate) fn secret(&self, name: &str) -> Result<String, String> {
        self.0.get(name).cloned().unwrap_or_else(|| Err(unset(name)))
    }
}

/// The variable that holds a secret.
pub(crate) fn variable(name: &str) -> String {
    name.to_ascii_lowercase()
}

async fn value(name: &str) -> Result<String, String> {
    match get(variable(name)).await {
        Ok(value) if value.trim().is_empty() => Err(unset(name)),
        Ok(value) => Ok(value),
        Err(error) => Err(told(name, &error)),
    }
}

fn told(name: &str, error: &Error) -> String {
    match error {
        Error::Undefined(_) => unset(name),
        Error::InvalidName(_) => format!(
            "`{}` cannot be the name of a Spin variable: use letters, digits and single `_` between them",
            variable(name)
        ),
        Error::Provider(why) | Error::Other(why) => {
            let why: String = why.chars().take(200).collect();
            format!("the variable `{}` cannot be had: {why}", variable(name))
        }
    }
}

fn unset(name: &str) -> String {
    let variable = variable(name);
    format!(
        "it is not set: add `{variable}` to [variables] and [component.tollgate.variables] of spin.toml \
         and set SPIN_VARIABLE_{}",
        variable.to_ascii_uppercase()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_lower_case_is_the_variable() {
        assert_eq!(variable("OPENAI_API_KEY"), "openai_api_key");
    }

    #[test]
    fn what_is_not_set_is_named_with_what_to_add_to_which_file() {
        let why = Variables::default().secret("CI_KEY").unwrap_err();
        for part in ["`ci_key`", "spin.toml", "SPIN_VARIABLE_CI_KEY"] {
            assert!(why.contains(part), "{why}");
        }
    }
}
