//! Keys of other issuers of tokens: from files when the config is read, from addresses when a token needs
//! them.
//!
//! ```text
//!   token ──▶ admit ──▶ NeedsKeys ──▶ asked a moment ago? ──yes──▶ refused
//!               ▲                        │ no
//!               └── directory ◀── one fetch, for which all of that issuer wait
//!                        ▲
//!                        └── every 10 minutes while such tokens come, by the main thread
//! ```
//! 1. Nothing is fetched at the start, and for one issuer no two fetches are under way.
//! 2. Who presents tokens that nobody signed makes the gateway fetch twice a minute at most; while there
//!    are no keys at all, once in five seconds.
//! 3. An issuer that is gone takes nothing with it for a day: its keys stay. Then they are given up, since
//!    one that it has withdrawn would be believed for ever.

use crate::host::{Native, Shared, held};
use crate::settings::Problems;
use crate::upstream::Call;
use crate::upstream::pool::Pool;
use bytes::Bytes;
use http::header::{ACCEPT, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, StatusCode, Uri};
use std::collections::HashMap;
use std::fs::File;
use std::future::poll_fn;
use std::io::Read;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tollgate_core::config::Config;
use tollgate_core::directory::Caller;
use tollgate_core::host::{Fetch, Reuse, Upstream};
use tollgate_core::token::{Issuer, Jwks, JwksSource};
use tollgate_core::units::{Millis, Time};

/// How long a fetch may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of a document.
const MAX_BYTES: usize = 256 * 1024;

/// Between two fetches for tokens that name a key which the issuer did not have.
const PAUSE: Millis = Millis::from_secs(30);

/// Between two fetches while there are no keys; what is refused meanwhile is told to come back then.
const PAUSE_WITHOUT_KEYS: Millis = Millis::from_secs(5);

/// How old keys become while tokens come.
const FRESH: Millis = Millis::from_secs(10 * 60);

/// Between two attempts to get fresh ones from an issuer that does not answer.
const PAUSE_OF_REFRESH: Millis = Millis::from_secs(60);

/// How old keys become at most.
const BELIEVED: Millis = Millis::from_secs(24 * 60 * 60);

/// Between two looks at what is old.
const TICK: Duration = Duration::from_secs(15);

/// The keys of an issuer that are in a file.
#[derive(Debug)]
pub struct IssuerKeys {
    /// Whose.
    pub issuer: Issuer,
    /// The keys.
    pub keys: Jwks,
}

/// Reads the keys that the config says are in files. The problems name each of them and what is wrong.
pub fn from_files(config: &Config) -> Result<Vec<IssuerKeys>, Problems> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for (place, issuer) in config.tokens.issuers.iter().enumerate() {
        let JwksSource::File(path) = &issuer.jwks else { continue };
        match from_file(path) {
            Ok(keys) => found.push(IssuerKeys { issuer: issuer.clone(), keys }),
            Err(why) => problems.push(format!(
                "tokens.issuers[{place}].jwks: {path}: {why}\n  \
                 fix: name a JWKS document that can be read, with the public keys of {}",
                issuer.issuer
            )),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(Problems(problems)) }
}

fn from_file(path: &str) -> Result<Jwks, String> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut text).map_err(|error| error.to_string())?;
    Jwks::parse(&text)
}

/// When keys were fetched, by issuer. What was fetched is in the directory.
#[derive(Debug, Default)]
pub struct Issuers {
    known: Mutex<HashMap<String, Known>>,
    /// When a token of another issuer was last taken.
    used: AtomicU64,
}

#[derive(Debug, Default)]
struct Known {
    /// From there; what was fetched from elsewhere is of no interest.
    url: String,
    /// Closed when nothing is under way.
    under_way: Option<watch::Receiver<()>>,
    began: Option<Time>,
    ended: Option<Time>,
    /// When there were keys last.
    had: Option<Time>,
}

/// Whether keys of an issuer are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    There,
    Missing,
}

/// What is done for a token whose key is not known.
#[derive(Debug)]
enum Turn {
    /// Its keys are fetched by whoever asks; the end of this tells the others.
    Fetch(watch::Sender<()>),
    /// Someone else does.
    Wait(watch::Receiver<()>),
    /// Someone else did since it came.
    Look,
    /// Nothing: that was done a moment ago.
    Refuse,
}

/// What is done about an issuer now and then.
#[derive(Debug)]
enum Upkeep {
    Nothing,
    Fetch(watch::Sender<()>),
    GiveUp,
}

/// What came of asking for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// They may be there now: admit again.
    Again,
    /// They are not to be had now.
    InVain,
}

impl Known {
    fn is_under_way(&self) -> bool {
        self.under_way.as_ref().is_some_and(|under_way| under_way.has_changed().is_ok())
    }

    fn begin(&mut self, now: Time) -> watch::Sender<()> {
        let (end, under_way) = watch::channel(());
        self.under_way = Some(under_way);
        self.began = Some(now);
        end
    }
}

/// Whether so much time has passed since then.
fn is_past(then: Option<Time>, wait: Millis, now: Time) -> bool {
    then.is_none_or(|then| now.since(then) >= wait)
}

impl Issuers {
    /// Notes that someone was let in, so that keys stay fresh while their tokens come. Of the gateway's
    /// own tokens most say so themselves.
    pub fn used(&self, caller: Option<&Caller>, now: Time) {
        let token = caller.and_then(|caller| caller.token.as_ref());
        if token.is_some_and(|token| token.bound.is_none()) {
            self.used.store(now.0, Ordering::Relaxed);
        }
    }

    /// What to do for a token that came at `asked`.
    fn turn(&self, issuer: &str, url: &str, keys: Keys, asked: Time, now: Time) -> Turn {
        let mut all = held(&self.known);
        let known = all.entry(issuer.to_owned()).or_default();
        if known.url != url {
            *known = Known { url: url.to_owned(), ..Known::default() };
        }
        if let Some(under_way) = known.under_way.clone().filter(|_| known.is_under_way()) {
            return Turn::Wait(under_way);
        }
        if known.ended.is_some_and(|ended| ended >= asked) {
            return Turn::Look;
        }
        let pause = match keys {
            Keys::There => PAUSE,
            Keys::Missing => PAUSE_WITHOUT_KEYS,
        };
        if is_past(known.began, pause, now) { Turn::Fetch(known.begin(now)) } else { Turn::Refuse }
    }

    /// What to do about an issuer's keys as they get older.
    fn upkeep(&self, issuer: &str, url: &str, now: Time) -> Upkeep {
        let mut all = held(&self.known);
        let Some(known) = all.get_mut(issuer).filter(|known| known.url == url) else {
            return Upkeep::Nothing;
        };
        let Some(had) = known.had.filter(|_| !known.is_under_way()) else { return Upkeep::Nothing };
        if now.since(had) >= BELIEVED {
            known.had = None;
            return Upkeep::GiveUp;
        }
        let old = now.since(had) >= FRESH && is_past(known.began, PAUSE_OF_REFRESH, now);
        if old && self.used.load(Ordering::Relaxed) >= had.0 {
            Upkeep::Fetch(known.begin(now))
        } else {
            Upkeep::Nothing
        }
    }

    fn ended(&self, issuer: &str, url: &str, keys: Keys, now: Time) {
        let mut all = held(&self.known);
        let Some(known) = all.get_mut(issuer).filter(|known| known.url == url) else { return };
        known.ended = Some(now);
        if keys == Keys::There {
            known.had = Some(now);
        }
    }
}

/// Fetches the keys of an issuer for a token that came at `asked`, or waits for whoever does. What has
/// begun goes on when the client leaves: others may wait for it.
pub async fn ask(host: &Rc<Native>, config: &Config, issuer: &str, asked: Time) -> Asked {
    let Some(issuer) = config.tokens.issuer(issuer) else { return Asked::InVain };
    let JwksSource::Url(url) = &issuer.jwks else { return Asked::InVain };
    let shared = &host.shared;
    let keys = match shared.directory().jwks(&issuer.issuer) {
        Some(_) => Keys::There,
        None => Keys::Missing,
    };
    let mut under_way = match shared.issuers.turn(&issuer.issuer, url, keys, asked, now(shared)) {
        Turn::Refuse => return Asked::InVain,
        Turn::Look => return Asked::Again,
        Turn::Wait(under_way) => under_way,
        Turn::Fetch(end) => {
            let under_way = end.subscribe();
            let (host, issuer, url) = (Rc::clone(host), issuer.clone(), url.clone());
            tokio::task::spawn_local(async move {
                renew(&host.shared, &host.pool, &issuer, &url).await;
                drop(end);
            });
            under_way
        }
    };
    // Nothing is ever sent: it ends when its sender is dropped.
    while under_way.changed().await.is_ok() {}
    Asked::Again
}

/// Keeps keys fresh while tokens come, and gives up what is too old, until the gateway stops.
pub async fn run(shared: Arc<Shared>) {
    let pool = Pool::new(Arc::clone(&shared.outside));
    loop {
        sleep(TICK).await;
        pool.sweep();
        let config = shared.config.load_full();
        for issuer in &config.tokens.issuers {
            let JwksSource::Url(url) = &issuer.jwks else { continue };
            match shared.issuers.upkeep(&issuer.issuer, url, now(&shared)) {
                Upkeep::Nothing => {}
                Upkeep::Fetch(end) => {
                    renew(&shared, &pool, issuer, url).await;
                    drop(end);
                }
                Upkeep::GiveUp => {
                    let name = issuer.issuer.as_str();
                    tracing::warn!(
                        issuer = name,
                        "the keys of an issuer were last fetched a day ago: given up"
                    );
                    shared.directory_mut().drop_jwks(name);
                }
            }
        }
    }
}

fn now(shared: &Shared) -> Time {
    shared.clock.now()
}

/// One fetch, whatever comes of it.
async fn renew(shared: &Shared, pool: &Pool, issuer: &Issuer, url: &str) {
    let name = issuer.issuer.as_str();
    let late = || Err(format!("no whole answer within {} s", PATIENCE.as_secs()));
    let outcome = match timeout(PATIENCE, fetch(pool, url)).await.unwrap_or_else(|_| late()) {
        Ok(keys) => {
            put(shared, issuer, keys);
            Keys::There
        }
        Err(why) => {
            tracing::warn!(issuer = name, why, "the keys of an issuer cannot be fetched");
            Keys::Missing
        }
    };
    shared.issuers.ended(name, url, outcome, now(shared));
}

/// Unless the config has changed meanwhile: it may no longer trust that place.
fn put(shared: &Shared, issuer: &Issuer, keys: Jwks) {
    let mut directory = shared.directory_mut();
    let config = shared.config.load();
    if config.tokens.issuer(&issuer.issuer).is_some_and(|known| known.jwks == issuer.jwks) {
        directory.put_jwks(issuer, keys);
    }
}

/// Gets a document. A redirection is an error: the operator has named the place that is trusted.
async fn fetch(pool: &Pool, url: &str) -> Result<Jwks, String> {
    let uri: Uri = url.parse().map_err(|_| "the URL is none".to_owned())?;
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))));
    let fetch = Fetch {
        method: Method::GET,
        uri,
        headers,
        body: Bytes::new(),
        reuse: Reuse::Forbidden,
        signing: None,
    };
    let mut call = Call::new(pool, fetch);
    let head = poll_fn(|cx| call.poll_head(cx)).await.map_err(|error| error.what)?;
    if head.status != StatusCode::OK {
        return Err(format!("it answered {}, expected 200", head.status.as_u16()));
    }
    let mut document = Vec::new();
    while let Some(chunk) = poll_fn(|cx| call.poll_chunk(cx)).await {
        document.extend_from_slice(&chunk.map_err(|error| error.what)?);
        if document.len() > MAX_BYTES {
            return Err(format!("its answer has more than {MAX_BYTES} bytes"));
        }
    }
    Jwks::parse(&document)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_800_000_000_000);

    fn turn(issuers: &Issuers, keys: Keys, now: Time) -> Turn {
        issuers.turn("id", "https://id.example/keys", keys, now, now)
    }

    fn ended(issuers: &Issuers, keys: Keys, now: Time) {
        issuers.ended("id", "https://id.example/keys", keys, now);
    }

    fn begun(turn: Turn) -> watch::Sender<()> {
        let Turn::Fetch(end) = turn else { panic!("{turn:?}") };
        end
    }

    #[test]
    fn who_comes_while_keys_are_fetched_waits_and_who_came_before_looks_again() {
        let issuers = Issuers::default();
        let end = begun(turn(&issuers, Keys::Missing, NOW));
        assert!(matches!(turn(&issuers, Keys::Missing, NOW + Millis(10)), Turn::Wait(_)));
        ended(&issuers, Keys::There, NOW + Millis(20));
        drop(end);
        let late = issuers.turn("id", "https://id.example/keys", Keys::There, NOW + Millis(15), NOW + PAUSE);
        assert!(matches!(late, Turn::Look));
    }

    #[test]
    fn an_issuer_is_not_hammered_and_a_fetch_that_was_lost_is_no_end() {
        let issuers = Issuers::default();
        drop(begun(turn(&issuers, Keys::Missing, NOW)));
        assert!(matches!(turn(&issuers, Keys::Missing, NOW + Millis(4_999)), Turn::Refuse));
        drop(begun(turn(&issuers, Keys::Missing, NOW + PAUSE_WITHOUT_KEYS)));
        let known = NOW + PAUSE_WITHOUT_KEYS;
        ended(&issuers, Keys::There, known);
        assert!(matches!(turn(&issuers, Keys::There, known + Millis(29_999)), Turn::Refuse));
        drop(begun(turn(&issuers, Keys::There, known + PAUSE)));
    }

    #[test]
    fn another_place_is_asked_at_once() {
        let issuers = Issuers::default();
        drop(begun(turn(&issuers, Keys::There, NOW)));
        drop(begun(issuers.turn("id", "https://id.example/new", Keys::Missing, NOW, NOW)));
        assert!(matches!(issuers.upkeep("id", "https://id.example/keys", NOW + BELIEVED), Upkeep::Nothing));
    }

    #[test]
    fn keys_are_fresh_while_they_are_used_and_stay_for_a_day() {
        let issuers = Issuers::default();
        let upkeep = |now| issuers.upkeep("id", "https://id.example/keys", now);
        drop(begun(turn(&issuers, Keys::Missing, NOW)));
        ended(&issuers, Keys::There, NOW);
        assert!(matches!(upkeep(NOW + FRESH), Upkeep::Nothing), "nobody uses them");
        issuers.used.store(NOW.0 + 1, Ordering::Relaxed);
        assert!(matches!(upkeep(NOW + Millis(FRESH.0 - 1)), Upkeep::Nothing));
        let Upkeep::Fetch(end) = upkeep(NOW + FRESH) else { panic!("used and old") };
        assert!(matches!(upkeep(NOW + FRESH), Upkeep::Nothing), "it is under way");
        ended(&issuers, Keys::Missing, NOW + FRESH);
        drop(end);
        assert!(matches!(upkeep(NOW + FRESH + Millis(59_999)), Upkeep::Nothing));
        assert!(matches!(upkeep(NOW + FRESH + PAUSE_OF_REFRESH), Upkeep::Fetch(_)));
        assert!(matches!(upkeep(NOW + BELIEVED), Upkeep::GiveUp));
        assert!(matches!(upkeep(NOW + BELIEVED + FRESH), Upkeep::Nothing), "once");
    }

    #[test]
    fn keys_in_a_file_that_cannot_be_read_are_a_problem_with_its_field_and_fix() {
        let folder = crate::store::tests::Folder::new("jwks");
        let path = folder.path().join("keys.json");
        let text = format!(
            "[tokens]\nissuers = [{{ issuer = \"id\", audience = \"gate\", jwks = \"file:{}\", key = \"a\" }}]\n\
             [[keys]]\nname = \"a\"\nvalue = \"tg-0123456789abcdef0123456789abcdef\"\n",
            path.display()
        );
        let config = tollgate_core::config::load(text.as_bytes(), &|_| Err("none".to_owned())).unwrap();
        let problem = |config| from_files(config).unwrap_err().to_string();
        assert!(problem(&config).starts_with("tokens.issuers[0].jwks: "));
        std::fs::write(&path, "{}").unwrap();
        assert!(problem(&config).contains("no list of `keys`\n  fix: "));
        std::fs::write(&path, vec![b' '; MAX_BYTES + 1]).unwrap();
        assert!(problem(&config).contains("more than 262144 bytes"));
        let key =
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        std::fs::write(&path, key).unwrap();
        assert_eq!(from_files(&config).unwrap().len(), 1);
    }
}
