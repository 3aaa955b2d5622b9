//! Tokens of Entra, of Azure's machines and of IBM's IAM.

use super::Loan;
use super::ask::{Desk, Question, pairs};
use crate::clock;
use serde_json::Value;
use tollgate_core::secret::Secret;
use tollgate_core::source::{Lent, Source};
use tollgate_core::units::Millis;

/// What the models of Azure OpenAI and Azure AI are called with.
const AZURES: &str = "https://cognitiveservices.azure.com";

/// `access_token` and how long it holds.
pub(super) fn token(answer: &Value) -> Result<Loan, String> {
    let text = answer.get("access_token").and_then(Value::as_str).filter(|token| !token.is_empty());
    let text = text.ok_or_else(|| "the source's answer holds no access_token".to_owned())?;
    let lasts = answer.get("expires_in");
    let lasts = lasts.and_then(|lasts| lasts.as_u64().or_else(|| lasts.as_str()?.parse().ok()));
    let now = clock::wall();
    Ok(Loan::until(Lent::Token(Secret::new(text)), now + Millis::from_secs(lasts.unwrap_or(3600)), now))
}

/// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>
pub(super) async fn entra(source: &Source, desk: &Desk) -> Result<Loan, String> {
    let get = |field| source.get(field).unwrap_or_default();
    let usual = format!("https://login.microsoftonline.com/{}/oauth2/v2.0/token", get("tenant"));
    let scope = source.get("scope").map_or_else(|| format!("{AZURES}/.default"), str::to_owned);
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", get("client_id")),
        ("client_secret", get("client_secret")),
        ("scope", &scope),
    ];
    token(&desk.json(Question::form(source.get("token_url").unwrap_or(&usual), &form)).await?)
}

/// <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>
pub(super) async fn identity(source: &Source, desk: &Desk) -> Result<Loan, String> {
    let usual = "http://169.254.169.254/metadata/identity/oauth2/token";
    let scope = source.get("scope").map_or(AZURES, |scope| scope.trim_end_matches("/.default"));
    let mut query = vec![("api-version", "2018-02-01"), ("resource", scope)];
    query.extend(source.get("client_id").map(|id| ("client_id", id)));
    let url = format!("{}?{}", source.get("token_url").unwrap_or(usual), pairs(&query));
    token(&desk.json(Question::get(&url).with("metadata", "true")).await?)
}

/// <https://cloud.ibm.com/docs/account?topic=account-iamtoken_from_apikey>
pub(super) async fn ibm(source: &Source, desk: &Desk) -> Result<Loan, String> {
    let url = source.get("token_url").unwrap_or("https://iam.cloud.ibm.com/identity/token");
    let key = source.get("api_key").unwrap_or_default();
    let form = [("grant_type", "urn:ibm:params:oauth:grant-type:apikey"), ("apikey", key)];
    token(&desk.json(Question::form(url, &form)).await?)
}
