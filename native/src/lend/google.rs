//! Tokens of Google Cloud, by its application default credentials:
//! <https://cloud.google.com/docs/authentication/application-default-credentials>.

use super::ask::{Desk, Question};
use super::{Loan, instant, oauth};
use crate::clock;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use std::path::PathBuf;
use tollgate_core::secret::Secret;
use tollgate_core::source::{Lent, Source};

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKENS: &str = "https://oauth2.googleapis.com/token";
/// The machine's metadata server, and what of it is asked. `GCE_METADATA_HOST` names another, as for Google's own
/// libraries.
const METADATA: &str = "metadata.google.internal";
const OF_METADATA: &str = "/computeMetadata/v1/instance/service-accounts/default/token";

pub(super) async fn borrow(source: &Source, desk: &Desk) -> Result<Loan, String> {
    let written = match source.get("json") {
        Some(text) => Some(text.to_owned()),
        None => on_disk()?,
    };
    let scope = source.get("scope").unwrap_or(SCOPE);
    let Some(written) = written else {
        let host = std::env::var("GCE_METADATA_HOST").ok().filter(|host| !host.is_empty());
        let usual = format!("http://{}{OF_METADATA}", host.as_deref().unwrap_or(METADATA));
        let url = source.get("token_url").unwrap_or(&usual);
        return oauth::token(&desk.json(Question::get(url).with("metadata-flavor", "Google")).await?);
    };
    let file: Value =
        serde_json::from_str(&written).map_err(|_| "Google's credentials are no JSON document".to_owned())?;
    let get = |field: &str| file.get(field).and_then(Value::as_str).unwrap_or_default();
    let url = source.get("token_url").or_else(|| file.get("token_uri").or(file.get("token_url"))?.as_str());
    let url = url.unwrap_or(TOKENS);
    match get("type") {
        "service_account" => {
            let assertion = assertion(&file, scope, url)?;
            let form = [
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("assertion", assertion.as_str()),
            ];
            oauth::token(&desk.json(Question::form(url, &form)).await?)
        }
        "authorized_user" => {
            let form = [
                ("grant_type", "refresh_token"),
                ("client_id", get("client_id")),
                ("client_secret", get("client_secret")),
                ("refresh_token", get("refresh_token")),
            ];
            oauth::token(&desk.json(Question::form(url, &form)).await?)
        }
        "external_account" => external(&file, scope, url, desk).await,
        _ => Err("Google's credentials are of a type other than service_account, authorized_user and \
                  external_account"
            .to_owned()),
    }
}

fn on_disk() -> Result<Option<String>, String> {
    let named = std::env::var_os("GOOGLE_APPLICATION_CREDENTIALS").filter(|path| !path.is_empty());
    if let Some(path) = named {
        let read = std::fs::read_to_string(path);
        return read.map(Some).map_err(|why| format!("the file GOOGLE_APPLICATION_CREDENTIALS names: {why}"));
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let usual = home.map(|home| home.join(".config/gcloud/application_default_credentials.json"));
    Ok(usual.and_then(|path| std::fs::read_to_string(path).ok()))
}

/// A service account's word that it is itself, for an hour:
/// <https://developers.google.com/identity/protocols/oauth2/service-account>.
fn assertion(file: &Value, scope: &str, audience: &str) -> Result<String, String> {
    let get = |field: &str| file.get(field).and_then(Value::as_str).unwrap_or_default();
    let unfit = |what: &str| format!("the service account's private key {what}");
    let key = PrivateKeyDer::from_pem_slice(get("private_key").as_bytes()).map_err(|_| unfit("is no PEM"))?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|_| unfit("is no RSA key"))?;
    let signer =
        key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or_else(|| unfit("is no RSA key"))?;
    let now = clock::wall().unix_secs();
    let head = json!({"alg": "RS256", "typ": "JWT", "kid": get("private_key_id")});
    let claims = json!({
        "iss": get("client_email"), "scope": scope, "aud": audience, "iat": now, "exp": now + 3600,
    });
    let mut text = URL_SAFE_NO_PAD.encode(head.to_string());
    text.push('.');
    text.push_str(&URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = signer.sign(text.as_bytes()).map_err(|_| unfit("does not sign"))?;
    text.push('.');
    text.push_str(&URL_SAFE_NO_PAD.encode(signature));
    Ok(text)
}

/// Workload identity: a token of another issuer for one of Google's:
/// <https://cloud.google.com/iam/docs/workload-identity-federation>.
async fn external(file: &Value, scope: &str, url: &str, desk: &Desk) -> Result<Loan, String> {
    let get = |field: &str| file.get(field).and_then(Value::as_str).unwrap_or_default();
    let place = file.get("credential_source").unwrap_or(&Value::Null);
    if let Some(other) =
        ["environment_id", "executable", "certificate"].iter().find(|name| place.get(name).is_some())
    {
        return Err(format!("credential_source with {other} is not supported: only file and url are"));
    }
    let text = match (place.get("file").and_then(Value::as_str), place.get("url").and_then(Value::as_str)) {
        (Some(path), _) => {
            std::fs::read_to_string(path).map_err(|why| format!("the subject's token in a file: {why}"))?
        }
        (None, Some(url)) => {
            let mut question = Question::get(url);
            for (name, value) in place.get("headers").and_then(Value::as_object).into_iter().flatten() {
                // Azure's and Google's, the only ones that are used.
                let name = ["metadata", "metadata-flavor", "authorization"]
                    .into_iter()
                    .find(|known| known.eq_ignore_ascii_case(name))
                    .ok_or_else(|| format!("credential_source asks for the header {name}"))?;
                question = question.with(name, value.as_str().unwrap_or_default());
            }
            String::from_utf8(desk.ask(question).await?).map_err(|_| "the subject's token is no text")?
        }
        (None, None) => return Err("credential_source names neither a file nor a url".to_owned()),
    };
    let format = place.get("format").unwrap_or(&Value::Null);
    let subject = if format.get("type").is_some_and(|kind| kind == "json") {
        let field = format.get("subject_token_field_name").and_then(Value::as_str).unwrap_or_default();
        let whole: Value = serde_json::from_str(&text).unwrap_or_default();
        whole
            .get(field)
            .and_then(Value::as_str)
            .ok_or("the subject's token is not where it should be")?
            .to_owned()
    } else {
        text.trim().to_owned()
    };
    let impersonated = file.get("service_account_impersonation_url").and_then(Value::as_str);
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("audience", get("audience")),
        ("scope", if impersonated.is_some() { SCOPE } else { scope }),
        ("subject_token_type", get("subject_token_type")),
        ("subject_token", &subject),
    ];
    let loan = oauth::token(&desk.json(Question::form(url, &form)).await?)?;
    let (Some(account), Lent::Token(token)) = (impersonated, &loan.lent) else { return Ok(loan) };
    let mut question =
        Question::form(account, &[]).with("authorization", format!("Bearer {}", token.expose()));
    question.headers.retain(|(name, _)| *name != "content-type");
    question = question.with("content-type", "application/json");
    question.body = json!({"scope": [scope]}).to_string();
    let answer = desk.json(question).await?;
    let token = answer.get("accessToken").and_then(Value::as_str);
    let until = answer.get("expireTime").and_then(Value::as_str).and_then(instant::parse);
    match (token, until) {
        (Some(token), Some(until)) => Ok(Loan::until(Lent::Token(Secret::new(token)), until, clock::wall())),
        _ => Err("the service account's answer holds no token".to_owned()),
    }
}
