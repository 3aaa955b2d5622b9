//! What a token says, and whether it may say so.

use super::jwk::PublicOrShared;
use super::{ISSUER, Issuer, Jwks, MAX_TOKEN, Parent, Token, Tokens};
use crate::config::{Pattern, values};
use crate::directory::{end_user, wrong_name};
use crate::fault::{Code, Fault};
use crate::ledger::Scope;
use crate::limit::calendar::Zone;
use crate::limit::{Budget, Limits, Period, Reset};
use crate::units::{Millis, Requests, Time, Tokens as TokenCount};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// How far an issuer's clock may be ahead of ours.
const SKEW: Millis = Millis::from_secs(5);

/// Patterns of models in one token.
const MAX_MODELS: usize = 256;

/// Why a token is not taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Unfit {
    /// It does not come from anyone known here: it stands for nobody.
    Unknown(Fault),
    /// It does, and is refused.
    Refused(Fault),
    /// The keys of its issuer that are known here do not have the one it names: they are to be fetched
    /// again. The fault is what is answered if that does not help.
    NeedsKeys {
        /// Whose keys, as in the config.
        issuer: String,
        /// What is answered otherwise.
        fault: Fault,
    },
}

/// Whether what was presented looks like a token; costs a search for two dots.
pub fn is_token(presented: &[u8]) -> bool {
    presented.starts_with(b"eyJ") && memchr::memchr_iter(b'.', presented).take(3).count() == 2
}

/// A token's three parts, decoded.
struct Parts<'t> {
    header: Map<String, Value>,
    body: Map<String, Value>,
    /// The header and the body as they were signed.
    signed: &'t [u8],
    signature: Vec<u8>,
}

/// Checks a token: its signature, then each of its claims. `jwks` gives the keys of an issuer as far
/// as they were fetched. That its parent exists and may be used is not checked here. The fault names
/// the claim that is wrong and never shows any of it.
pub fn verify<'k>(
    presented: &[u8],
    tokens: &Tokens,
    jwks: impl Fn(&str) -> Option<&'k Jwks>,
    now: Time,
) -> Result<Token, Unfit> {
    let parts = Parts::read(presented).map_err(Unfit::Unknown)?;
    let signer = parts.signed_by(tokens, jwks)?;
    let claims = Reader { parts: &parts, tokens, signer, now };
    claims.token().map_err(Unfit::Refused)
}

impl<'t> Parts<'t> {
    fn read(presented: &'t [u8]) -> Result<Self, Fault> {
        if presented.len() > MAX_TOKEN {
            return Err(invalid(format!("it has more than {MAX_TOKEN} bytes")));
        }
        let mut dots = memchr::memchr_iter(b'.', presented);
        let part = |from: usize, to: usize| presented.get(from..to).unwrap_or_default();
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(invalid("it has not three parts"));
        };
        let decode = |part: &[u8]| URL_SAFE_NO_PAD.decode(part).map_err(|_| invalid("it is not base64url"));
        let object = |part: &[u8]| match serde_json::from_slice(&decode(part)?) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) | Err(_) => Err(invalid("it does not hold JSON objects")),
        };
        Ok(Self {
            header: object(part(0, first))?,
            body: object(part(first + 1, second))?,
            signed: part(0, second),
            signature: decode(part(second + 1, presented.len()))?,
        })
    }

    /// Whose token it is, with its signature checked. The algorithm is the one of that signer's key:
    /// what the header says must be the same, and decides nothing.
    fn signed_by<'s, 'k>(
        &self,
        tokens: &'s Tokens,
        jwks: impl Fn(&str) -> Option<&'k Jwks>,
    ) -> Result<SignedBy<'s>, Unfit> {
        let unknown = |what: &str| Unfit::Unknown(invalid(what));
        let alg = self.header.get("alg").and_then(Value::as_str);
        if !matches!(alg, Some("HS256" | "EdDSA")) {
            return Err(unknown("its `alg` is not taken here: HS256 and EdDSA are"));
        }
        // An extension that must be understood, and is not.
        if self.header.contains_key("crit") {
            return Err(unknown("its `crit` is not understood"));
        }
        // Who signs with the gateway's own secret need not name it.
        let issuer = match self.body.get("iss") {
            None => None,
            Some(Value::String(issuer)) => Some(issuer.as_str()),
            Some(_) => return Err(unknown("its `iss` is not a name")),
        };
        let (signed, by) = match issuer.and_then(|issuer| tokens.issuer(issuer)) {
            Some(known) => {
                let issuer = known.issuer.as_str();
                let kid = self.header.get("kid").and_then(Value::as_str);
                let key = jwks(issuer).and_then(|keys| keys.key(kid)).ok_or_else(|| needs(known, &jwks))?;
                let signed = match (key, alg) {
                    (PublicOrShared::Ed25519(key), Some("EdDSA")) => verifies(key, self),
                    (PublicOrShared::Secret(key), Some("HS256")) => {
                        key.verifies(self.signed, &self.signature)
                    }
                    (PublicOrShared::Ed25519(_) | PublicOrShared::Secret(_), _) => {
                        return Err(unknown("its `alg` is not the one of its issuer's key"));
                    }
                };
                (signed, SignedBy::Other(known))
            }
            None if issuer.is_none_or(|issuer| issuer == ISSUER) => {
                let signed = match (alg, &tokens.hs256, &tokens.ed25519) {
                    (Some("HS256"), Some(key), _) => key.verifies(self.signed, &self.signature),
                    (Some("EdDSA"), _, Some(key)) => key.verifies(self.signed, &self.signature),
                    (_, _, _) => return Err(unknown("its `alg` is not the one of this gateway's key")),
                };
                (signed, SignedBy::Us)
            }
            None => return Err(unknown("its `iss` is not known here")),
        };
        if signed { Ok(by) } else { Err(unknown("its signature is wrong")) }
    }
}

fn verifies(key: &ed25519_dalek::VerifyingKey, parts: &Parts<'_>) -> bool {
    ed25519_dalek::Signature::from_slice(&parts.signature)
        .is_ok_and(|signature| key.verify_strict(parts.signed, &signature).is_ok())
}

fn needs<'k>(issuer: &Issuer, jwks: impl Fn(&str) -> Option<&'k Jwks>) -> Unfit {
    let fault = match jwks(&issuer.issuer) {
        Some(_) => invalid("its `kid` names no key of its issuer's"),
        None => {
            let message = "the keys of the token's issuer cannot be had now";
            Fault::new(Code::StoreUnavailable, message).retry_after(Millis::from_secs(5))
        }
    };
    Unfit::NeedsKeys { issuer: issuer.issuer.clone(), fault }
}

/// Whose signature a token bears.
#[derive(Clone, Copy)]
enum SignedBy<'s> {
    Us,
    Other(&'s Issuer),
}

/// Reads the claims of a token whose signature is right.
struct Reader<'a> {
    parts: &'a Parts<'a>,
    tokens: &'a Tokens,
    signer: SignedBy<'a>,
    now: Time,
}

impl Reader<'_> {
    fn token(&self) -> Result<Token, Fault> {
        self.audience()?;
        let expires = self.times()?;
        let parent = self.parent()?;
        let models = self.models()?;
        let id = self.id(&parent)?;
        let scope = Scope::new(format!("token:{id}"), self.limits()?);
        let bound = match self.signer {
            SignedBy::Us => self.text("key")?.map(str::to_owned),
            SignedBy::Other(_) => None,
        };
        Ok(Token { id, parent, bound, models, scope: Arc::new(scope), expires, end_user: self.end_user()? })
    }

    fn audience(&self) -> Result<(), Fault> {
        let wanted = match self.signer {
            SignedBy::Us => &self.tokens.audience,
            SignedBy::Other(issuer) => &issuer.audience,
        };
        let fits = match self.parts.body.get("aud") {
            Some(Value::String(one)) => one == wanted,
            Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(wanted)),
            Some(_) | None => false,
        };
        if fits { Ok(()) } else { Err(wrong("aud", "does not name this gateway")) }
    }

    /// `exp`, `nbf` and `iat`: the first moment at which the token is refused.
    fn times(&self) -> Result<Time, Fault> {
        let expires = self.time("exp")?.ok_or_else(|| wrong("exp", "is missing"))?;
        // The moment itself is outside: a token that expires at noon is refused at noon.
        if expires <= self.now {
            return Err(Fault::new(Code::ExpiredKey, "the token presented has expired"));
        }
        if expires.since(self.now) > self.tokens.longest + SKEW {
            return Err(wrong("exp", "is farther ahead than tokens may be valid"));
        }
        for name in ["nbf", "iat"] {
            if self.time(name)?.is_some_and(|time| time > self.now + SKEW) {
                return Err(wrong(name, "is in the future"));
            }
        }
        Ok(expires)
    }

    fn parent(&self) -> Result<String, Fault> {
        let name = match self.signer {
            SignedBy::Us => "sub",
            SignedBy::Other(Issuer { parent: Parent::Key(key), .. }) => return Ok(key.clone()),
            SignedBy::Other(Issuer { parent: Parent::Claim(claim), .. }) => claim,
        };
        let parent = self.text(name)?.filter(|parent| wrong_name(parent).is_none());
        parent.map(str::to_owned).ok_or_else(|| wrong(name, "does not name a key"))
    }

    fn models(&self) -> Result<Vec<Pattern>, Fault> {
        let models = match self.parts.body.get("models") {
            None => return Ok(Vec::new()),
            Some(Value::Array(models)) if (1..=MAX_MODELS).contains(&models.len()) => models,
            Some(_) => return Err(wrong("models", "is not a list of names")),
        };
        let patterns = models.iter().map(|model| Pattern::parse(model.as_str()?));
        patterns.collect::<Option<_>>().ok_or_else(|| wrong("models", "is not a list of names"))
    }

    /// `jti`; without one, a name made of all that was signed, so that the same token is the same each
    /// time. Ids of other issuers are told apart by the parent.
    fn id(&self, parent: &str) -> Result<String, Fault> {
        let id = match self.text("jti")? {
            Some(id) if wrong_name(id).is_none() => id.to_owned(),
            Some(_) => return Err(wrong("jti", "is not a short plain name")),
            None => {
                let digest = Sha256::digest(self.parts.signed);
                URL_SAFE_NO_PAD.encode(digest.get(..16).unwrap_or_default())
            }
        };
        Ok(match self.signer {
            SignedBy::Us => id,
            SignedBy::Other(_) => format!("{parent}:{id}"),
        })
    }

    fn limits(&self) -> Result<Limits, Fault> {
        let budget = self.number("max_usd", values::dollars)?.map(|amount| Budget {
            amount,
            per: Period::Never,
            reset: Reset::Calendar(Zone::default()),
            warn: None,
        });
        Ok(Limits {
            max_requests: self.number("max_requests", values::count)?.map(Requests),
            max_tokens: self.number("max_tokens", values::count)?.map(TokenCount),
            budgets: budget.into_iter().collect(),
            ..Limits::default()
        })
    }

    /// `user`; of another issuer's token else `sub`: there the parent is nobody's own.
    fn end_user(&self) -> Result<Option<String>, Fault> {
        let user = match (self.text("user")?, self.signer) {
            (Some(user), _) => Some(user),
            (None, SignedBy::Other(_)) => self.text("sub")?,
            (None, SignedBy::Us) => None,
        };
        Ok(user.map(end_user).filter(|user| !user.is_empty()))
    }

    fn text(&self, name: &str) -> Result<Option<&str>, Fault> {
        match self.parts.body.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "is not a string")),
        }
    }

    fn number<T>(&self, name: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, Fault> {
        match self.parts.body.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => read(&number.to_string())
                .map(Some)
                .map_err(|reason| wrong(name, &format!("is wrong: {reason}"))),
            Some(_) => Err(wrong(name, "is not a number")),
        }
    }

    /// Seconds since the epoch, a fraction left off.
    fn time(&self, name: &str) -> Result<Option<Time>, Fault> {
        let seconds = |text: &str| match text.parse::<u64>() {
            Ok(seconds) => Ok(seconds),
            Err(_) => values::whole(text),
        };
        let seconds = self.number(name, seconds)?;
        Ok(seconds.map(|seconds| Time(seconds.saturating_mul(1000))))
    }
}

fn invalid(what: impl std::fmt::Display) -> Fault {
    Fault::new(Code::InvalidKey, format!("the token presented is not valid: {what}"))
}

fn wrong(claim: &str, what: &str) -> Fault {
    invalid(format!("its `{claim}` {what}"))
}
