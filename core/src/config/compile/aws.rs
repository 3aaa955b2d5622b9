//! What only AWS asks for: a region, and keys that sign.

use super::Compiler;
use crate::config::fault::show;
use crate::config::file;
use crate::config::read::Spot;
use crate::secret::Secret;
use crate::sigv4::{AccessKey, Signer};
use crate::vendor::{Auth, Vendor};
use std::sync::Arc;

/// What stands for the region in a vendor's address.
const HOLE: &str = "{region}";
/// Where AWS's own tools find it.
pub(super) const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
/// The region of servers that are no AWS and do not care.
pub(super) const USUAL_REGION: &str = "us-east-1";
pub(super) const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
pub(super) const KEY_SECRET: &str = "AWS_SECRET_ACCESS_KEY";
pub(super) const KEY_TOKEN: &str = "AWS_SESSION_TOKEN";

/// The vendor's address in a region.
pub(super) fn address(vendor: &Vendor, region: &str) -> String {
    vendor.base_url.replace(HOLE, region)
}

/// Whether the host is the vendor's own, in whatever region.
pub(super) fn is_home(vendor: &Vendor, host: &str) -> bool {
    region_in(vendor, host).is_some()
}

fn region_in<'h>(vendor: &Vendor, host: &'h str) -> Option<&'h str> {
    let (before, after) = vendor.base_url.split_once(HOLE)?;
    let region = host.strip_prefix(before.strip_prefix("https://")?)?.strip_suffix(after)?;
    is_region(region).then_some(region)
}

pub(super) fn is_region(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.len() <= 32 && text.chars().all(fits)
}

impl Compiler<'_> {
    /// The region of a provider: the one it names, else that of its address, else the environment's.
    /// `None` for providers that need none, and where one is missing, which is reported.
    pub(super) fn region(
        &mut self,
        name: &Spot<String>,
        vendor: &Vendor,
        raw: Option<Spot<String>>,
        base_url: Option<&Spot<String>>,
    ) -> Option<String> {
        match (vendor.auth, raw) {
            (Auth::Bearer | Auth::Token | Auth::Header(_) | Auth::Optional, None) => None,
            (Auth::Bearer | Auth::Token | Auth::Header(_) | Auth::Optional, Some(raw)) => {
                let message = format!("{} has no regions", vendor.title);
                self.errors.push(&raw.place, message, "remove it");
                None
            }
            (Auth::Aws, Some(raw)) if is_region(&raw.value) => Some(raw.value),
            (Auth::Aws, Some(raw)) => {
                let message = format!("not a region: {}", show(&raw.value));
                self.errors.push(&raw.place, message, "write it such as \"us-east-1\"");
                None
            }
            (Auth::Aws, None) => {
                let host = base_url.and_then(|url| url.value.split("://").nth(1)?.split(['/', ':']).next());
                let own = host.and_then(|host| region_in(vendor, host)).map(str::to_owned);
                let found = own.or_else(|| self.region_around());
                if found.is_none() && base_url.is_none() {
                    let fix = "add `region = \"us-east-1\"`, or set AWS_REGION";
                    self.errors.push(&name.place, "`region` is missing", fix);
                    return None;
                }
                Some(found.unwrap_or_else(|| USUAL_REGION.to_owned()))
            }
        }
    }

    fn region_around(&self) -> Option<String> {
        let named = REGIONS.iter().find_map(|name| self.usual(name));
        named.map(|region| region.expose().to_owned()).filter(|region| is_region(region))
    }

    /// An access key as a config names it. What is wrong with it is reported.
    pub(super) fn signer(
        &mut self,
        raw: file::AccessKey,
        vendor: Option<&Vendor>,
        region: Option<&str>,
    ) -> Option<Arc<Signer>> {
        let file::AccessKey { id, secret, token } = raw;
        if let Some(vendor) = vendor.filter(|vendor| vendor.auth != Auth::Aws) {
            let message = format!("an access key is AWS's: {} takes another kind", vendor.title);
            self.errors.push(&id.place, message, "write `value = \"env:NAME\"`");
            return None;
        }
        let (id, secret) = (self.secret(&id), self.secret(&secret));
        let token = token.map(|token| self.secret(&token));
        // An empty token was reported.
        let token = match token {
            Some(None) => return None,
            Some(token) => token,
            None => None,
        };
        let key = AccessKey { id: id?.expose().to_owned(), secret: secret?, token };
        Some(signer(key, region?))
    }

    /// The access key of the usual variables, if they hold one.
    pub(super) fn usual_signer(&self, region: Option<&str>) -> Option<Arc<Signer>> {
        let id = self.usual(KEY_ID)?.expose().to_owned();
        let (secret, token) = (self.usual(KEY_SECRET)?, self.usual(KEY_TOKEN));
        Some(signer(AccessKey { id, secret, token }, region?))
    }
}

/// The access key of these variables, in whichever of the regions is set.
pub(super) fn around(env: &dyn Fn(&str) -> Option<String>, region: &str) -> Option<Arc<Signer>> {
    let id = env(KEY_ID)?;
    let (secret, token) = (Secret::new(env(KEY_SECRET)?), env(KEY_TOKEN).map(Secret::new));
    Some(signer(AccessKey { id, secret, token }, region))
}

fn signer(key: AccessKey, region: &str) -> Arc<Signer> {
    Arc::new(Signer { key, region: region.to_owned(), service: "bedrock" })
}
