//! The config's document, TOML or JSON, with the platform's secrets put in.

use tollgate_core::config::{self, Config, ConfigError, SecretRef};
use tollgate_core::secret::Secret;

/// Errors that are shown in full; of more only the number is told.
const SHOWN: usize = 3;

/// A document and where it is from.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// For messages: `CONFIG/tollgate.toml`.
    pub name: &'a str,
    /// TOML or JSON.
    pub text: &'a [u8],
}

/// Why there is no config, in one line that says what to change where. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(pub String);

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Looks up a secret by its name. An error says where to put it: `it is not set: wrangler secret put X`.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// The config of a document; without one every provider whose usual secret is there.
pub fn compile(document: Option<Document<'_>>, secrets: Lookup<'_>) -> Result<Config, Problem> {
    let Some(Document { name, text }) = document else {
        return Ok(config::compile::zero(&|name| secrets(name).ok()));
    };
    let find = |reference: SecretRef<'_>| match reference {
        SecretRef::Env(name) => secrets(name).map(|value| Secret::new(value.trim())),
        SecretRef::File(_) => {
            Err("there are no files here: write env:NAME and put the secret there".to_owned())
        }
        SecretRef::Literal(secret) => Ok(Secret::new(secret)),
    };
    config::load(text, &find).map_err(|errors| problem(name, &errors))
}

fn problem(name: &str, errors: &[ConfigError]) -> Problem {
    let shown: Vec<String> = errors.iter().take(SHOWN).map(|error| line(name, error)).collect();
    let more = match errors.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    Problem(shown.join("; ") + &more)
}

fn line(name: &str, error: &ConfigError) -> String {
    let ConfigError { path, line, column, message, fix } = error;
    let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
    format!("{name}:{line}:{column}: {path}{message} (fix: {fix})").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(name: &str) -> Result<String, String> {
        match name {
            "OPENAI_API_KEY" => Ok("sk-1\n".to_owned()),
            _ => Err(format!("it is not set: wrangler secret put {name}")),
        }
    }

    fn compiled(text: &str) -> Result<Config, Problem> {
        compile(Some(Document { name: "tollgate.toml", text: text.as_bytes() }), &secrets)
    }

    #[test]
    fn without_a_document_every_provider_with_a_secret_is_on() {
        let config = compile(None, &secrets).unwrap();
        assert_eq!(
            config.providers.iter().map(|provider| provider.name.as_str()).collect::<Vec<_>>(),
            ["openai"]
        );
    }

    #[test]
    fn toml_and_json_say_the_same() {
        let toml = compiled("[providers.openai]\nkeys = [\"env:OPENAI_API_KEY\"]\n").unwrap();
        let json = compiled(r#"{"providers": {"openai": {"keys": ["env:OPENAI_API_KEY"]}}}"#).unwrap();
        for config in [toml, json] {
            let secret = config.providers[0].credentials[0].secret.as_ref().unwrap();
            assert_eq!(secret.expose(), "sk-1");
        }
    }

    #[test]
    fn a_secret_that_is_missing_is_named_in_one_line_with_what_to_do() {
        let Problem(line) = compiled("[providers.openai]\nkeys = [\"env:OTHER\"]\n").unwrap_err();
        assert!(line.contains("tollgate.toml:2:"), "{line}");
        assert!(line.contains("wrangler secret put OTHER") && !line.contains('\n'), "{line}");
        let Problem(line) = compiled("[providers.openai]\nkeys = [\"file:/etc/key\"]\n").unwrap_err();
        assert!(line.contains("there are no files here"), "{line}");
    }

    #[test]
    fn many_errors_are_one_line() {
        let Problem(line) = compiled("a = 1\nb = 2\nc = 3\nd = 4\ne = 5\n").unwrap_err();
        assert!(line.ends_with("; and 2 more") && !line.contains('\n'), "{line}");
    }
}
