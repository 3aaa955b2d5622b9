//! Where the config is from: a variable, else the key-value store, else nothing but providers' keys.
//!
//! ```text
//!   variable gateway_config ──▶ key-value tollgate.toml, config ──▶ none: every provider with a key
//! ```
//! A document that cannot be used does not take the place of one that could: see [`last`](crate::last).
//! Which secrets a document names is known when it is read. So it is read without any first, and then with
//! all that were asked for.

use crate::last;
use crate::timer::patiently;
use crate::variables::Variables;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use tollgate_core::config::Config;
use tollgate_core::units::Millis;
use tollgate_edge::document::{Document, Problem, compile};

/// The variable that holds the document.
const VARIABLE: &str = "GATEWAY_CONFIG";
/// The variable that names the ledger: `redis`, `sqlite`, `key-value`.
const LEDGER: &str = "TOLLGATE_LEDGER";
/// The variable that holds the address of Redis where the document names none.
const REDIS: &str = "REDIS_URL";
/// The variable that says how many milliseconds a store may take before quota is refused.
const PATIENCE: &str = "TOLLGATE_PATIENCE";
/// The keys that may hold it, in the default store.
#[cfg(feature = "key-value")]
const KEYS: [&str; 2] = ["tollgate.toml", "config"];

/// The patience where none is named.
const USUAL: Millis = Millis(100);

/// How long the key-value store may take to give the document.
const READING: Millis = Millis::from_secs(2);

/// What the gateway runs by.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The document, compiled.
    pub(crate) config: Arc<Config>,
    /// Which ledger is asked for.
    pub(crate) ledger: Wanted,
    /// Where Redis is, if anywhere.
    pub(crate) redis: Option<String>,
    /// How long anybody waits for quota, and for a settlement before it is tried again behind.
    pub(crate) patience: Millis,
    source: Source,
}

/// A ledger that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Redis where there is an address, else SQLite, else key-value: the first that is there.
    #[default]
    Best,
    /// Redis.
    Redis,
    /// SQLite.
    Sqlite,
    /// Key-value.
    KeyValue,
}

/// All that settings were made of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    text: Option<Text>,
    variables: Variables,
    names: BTreeSet<String>,
}

/// A document and where it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    /// Its name, for people.
    pub(crate) name: String,
    /// What it says.
    pub(crate) bytes: Vec<u8>,
}

/// By what an instance begins.
pub(crate) struct Begun {
    /// What is there, or what was before.
    pub(crate) settings: Settings,
    /// What is wrong with what is there.
    pub(crate) refused: Option<Problem>,
}

/// What reading again has come to.
pub(crate) enum Reread {
    /// Nothing has changed.
    Same,
    /// Everything has.
    New(Box<Settings>),
}

impl Settings {
    /// Reads everything. What cannot be used stands back behind the last that could.
    pub(crate) async fn begin() -> Result<Begun, Problem> {
        let problem = match Self::of(text().await?).await {
            Ok(settings) => return Ok(Begun { settings, refused: None }),
            Err(problem) => problem,
        };
        let Some(last) = last::find().await else { return Err(problem) };
        match Self::of(Some(last)).await {
            Ok(settings) => Ok(Begun { settings, refused: Some(problem) }),
            Err(_) => Err(problem),
        }
    }

    /// The document by which these are, if any.
    pub(crate) fn text(&self) -> Option<&Text> {
        self.source.text.as_ref()
    }

    /// Reads everything again.
    pub(crate) async fn reread(&self) -> Result<Reread, Problem> {
        let text = text().await?;
        if text == self.source.text
            && Variables::read(self.source.names.clone()).await == self.source.variables
        {
            return Ok(Reread::Same);
        }
        Self::of(text).await.map(|settings| Reread::New(Box::new(settings)))
    }

    async fn of(text: Option<Text>) -> Result<Self, Problem> {
        let mut names: BTreeSet<String> = [LEDGER, REDIS, PATIENCE].map(str::to_owned).into();
        names.extend(asked(text.as_ref()));
        let variables = Variables::read(names.clone()).await;
        let config = Arc::new(compile(document(text.as_ref()), &|name| variables.secret(name))?);
        let ledger = wanted(&variables)?;
        let named = config.store.redis.as_ref().map(|url| url.expose().to_owned());
        let redis = named.or_else(|| variables.secret(REDIS).ok());
        let patience = patience(&variables)?;
        Ok(Self { config, ledger, redis, patience, source: Source { text, variables, names } })
    }
}

fn document(text: Option<&Text>) -> Option<Document<'_>> {
    text.map(|Text { name, bytes }| Document { name, text: bytes })
}

/// The secrets a document asks for.
fn asked(text: Option<&Text>) -> BTreeSet<String> {
    let names = RefCell::new(BTreeSet::new());
    // Without secrets it may not compile; what it has asked for is known all the same.
    let _ = compile(document(text), &|name| {
        names.borrow_mut().insert(name.to_owned());
        Ok("-".to_owned())
    });
    names.into_inner()
}

fn patience(variables: &Variables) -> Result<Millis, Problem> {
    let Ok(text) = variables.secret(PATIENCE) else { return Ok(USUAL) };
    match text.trim().parse::<u64>() {
        Ok(millis) if (10..=60_000).contains(&millis) => Ok(Millis(millis)),
        Ok(_) | Err(_) => {
            let text: String = text.chars().take(40).collect();
            Err(Problem(format!(
                "the variable tollgate_patience is `{text}`, expected milliseconds from 10 to 60000, or nothing"
            )))
        }
    }
}

fn wanted(variables: &Variables) -> Result<Wanted, Problem> {
    match variables.secret(LEDGER).as_deref().map(str::trim) {
        Err(_) => Ok(Wanted::Best),
        Ok("redis") => Ok(Wanted::Redis),
        Ok("sqlite") => Ok(Wanted::Sqlite),
        Ok("key-value") => Ok(Wanted::KeyValue),
        Ok(other) => {
            let other: String = other.chars().take(40).collect();
            Err(Problem(format!(
                "the variable tollgate_ledger is `{other}`, expected redis, sqlite, key-value or nothing"
            )))
        }
    }
}

async fn text() -> Result<Option<Text>, Problem> {
    let variables = Variables::read([VARIABLE.to_owned()]).await;
    match variables.secret(VARIABLE) {
        Ok(text) => Ok(Some(Text { name: "gateway_config".to_owned(), bytes: text.into_bytes() })),
        Err(_) => {
            let late =
                || Problem("the config in the key-value store cannot be read: it takes too long".into());
            patiently(READING, stored()).await.unwrap_or_else(|| Err(late()))
        }
    }
}

#[cfg(feature = "key-value")]
async fn stored() -> Result<Option<Text>, Problem> {
    use spin_sdk::key_value::{Error, Store};
    let unread = |error: Error| Problem(format!("the config in the key-value store cannot be read: {error}"));
    let store = match Store::open_default().await {
        Ok(store) => store,
        // A component that is given no store has none to look into.
        Err(Error::NoSuchStore | Error::AccessDenied) => return Ok(None),
        Err(error @ (Error::StoreTableFull | Error::Other(_))) => return Err(unread(error)),
    };
    for name in KEYS {
        if let Some(bytes) = store.get(name).await.map_err(unread)? {
            return Ok(Some(Text { name: format!("key-value/{name}"), bytes }));
        }
    }
    Ok(None)
}

#[cfg(not(feature = "key-value"))]
async fn stored() -> Result<Option<Text>, Problem> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_by(text: &str) -> Vec<String> {
        let text = Text { name: "t".to_owned(), bytes: text.as_bytes().to_vec() };
        asked(Some(&text)).into_iter().collect()
    }

    #[test]
    fn the_secrets_of_a_document_are_known_before_any_is_had() {
        let names = asked_by(
            "[server]\nadmin_key = \"env:ADMIN\"\n[providers.openai]\nkeys = [\"env:A\", \"env:B\"]\n\
             [[keys]]\nname = \"ci\"\nvalue = \"env:CI\"\n",
        );
        assert_eq!(names, ["A", "ADMIN", "B", "CI"]);
    }

    #[test]
    fn without_a_document_all_vendors_variables_are_asked_for() {
        let names = asked(None);
        assert!(names.contains("OPENAI_API_KEY") && names.contains("GROQ_API_KEY"), "{names:?}");
    }
}
