//! Short-lived signed keys: their secrets, and who else may sign them.

use super::Compiler;
use crate::config::fault::show;
use crate::config::file;
use crate::config::file::TokenParent;
use crate::config::read::Spot;
use crate::secret::Secret;
use crate::sort::Set;
use crate::token::{self, EdKey, HsKey, Issuer, JwksSource, Parent, Tokens};
use crate::units::Millis;

/// A key that lives longer than this is not short-lived.
const LONGEST: Millis = Millis::from_secs(366 * 24 * 60 * 60);

impl Compiler<'_> {
    pub(super) fn tokens(&mut self, raw: Option<file::Tokens>, admin_key: Option<&Secret>) -> Tokens {
        let usual = Tokens::default();
        let Some(file::Tokens { secret, ed25519, audience, longest, issuers }) = raw else {
            return Tokens { hs256: admin_key.map(HsKey::derived), ..usual };
        };
        let own = secret.is_none() && ed25519.is_none();
        let hs256 = match secret {
            Some(secret) => self.hs256(&secret),
            None if own => admin_key.map(HsKey::derived),
            None => None,
        };
        let longest = longest.filter(|longest| {
            let fits = longest.value <= LONGEST;
            if !fits {
                self.errors.push(&longest.place, "longer than a year", r#"write "366d" at most"#);
            }
            fits
        });
        Tokens {
            hs256,
            ed25519: ed25519.and_then(|key| self.ed25519(&key)),
            audience: audience.unwrap_or(usual.audience),
            longest: longest.map_or(usual.longest, |longest| longest.value),
            issuers: self.issuers(issuers),
        }
    }

    fn hs256(&mut self, spot: &Spot<String>) -> Option<HsKey> {
        let secret = self.secret(spot)?;
        let key = HsKey::new(secret.expose().as_bytes());
        if key.is_none() {
            let message =
                format!("the secret has {} bytes, so that it could be guessed", secret.expose().len());
            self.errors.push(&spot.place, message, "use at least 32 random characters");
        }
        key
    }

    fn ed25519(&mut self, spot: &Spot<String>) -> Option<EdKey> {
        let text = self.found(spot)?;
        match EdKey::parse(text.expose()) {
            Ok(key) => Some(key),
            Err(wrong) => {
                let fix = "give a PKCS#8 private key in PEM, or the 32 bytes of its seed in base64";
                self.errors.push(&spot.place, format!("not an Ed25519 key: {wrong}"), fix);
                None
            }
        }
    }

    fn issuers(&mut self, raw: Vec<file::Issuer>) -> Vec<Issuer> {
        let mut names = Set::new();
        let mut issuers = Vec::with_capacity(raw.len());
        for file::Issuer { issuer, audience, jwks, parent } in raw {
            if issuer.value == token::ISSUER {
                let message = format!("{} is the gateway's own name", show(&issuer.value));
                self.errors.push(&issuer.place, message, "its secret is `tokens.secret`");
            }
            if !names.insert(issuer.value.clone()) {
                self.twice(&issuer.place, "issuer", &issuer.value);
            }
            let Some(jwks) = self.jwks(&jwks) else { continue };
            let parent = match parent {
                TokenParent::Key(name) => Parent::Key(name),
                TokenParent::Claim(name) => Parent::Claim(name),
            };
            issuers.push(Issuer { issuer: issuer.value, audience, jwks, parent });
        }
        issuers
    }

    /// Whoever can change what is read on the way could sign tokens: only this machine is asked in
    /// the clear.
    fn jwks(&mut self, spot: &Spot<String>) -> Option<JwksSource> {
        if let Some(path) = spot.value.strip_prefix("file:") {
            return Some(JwksSource::File(path.to_owned()));
        }
        let url: Option<http::Uri> = spot.value.parse().ok();
        let safe = url.as_ref().is_some_and(|url| {
            let here = url.host().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
            let named = url.authority().is_some_and(|authority| !authority.as_str().contains('@'));
            named && (url.scheme_str() == Some("https") || (here && url.scheme_str() == Some("http")))
        });
        if !safe {
            let fix = r#"write "https://…" without a user, or "file:PATH""#;
            self.errors.push(&spot.place, "not a place for keys", fix);
        }
        safe.then(|| JwksSource::Url(spot.value.clone()))
    }
}
