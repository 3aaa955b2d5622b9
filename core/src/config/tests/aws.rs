//! Regions and access keys.

use super::super::compile::zero;
use super::{errors, loaded};

const KEYS: &str = r#"keys = [{ access_key_id = "AKIDEXAMPLE", secret_access_key = "s3cret", session_token = "t0ken" }, { name = "api", value = "ABSK-1" }]"#;

#[test]
fn an_access_key_signs_for_the_region_and_an_api_key_is_sent() {
    let config = loaded(&format!("[providers.bedrock]\nregion = \"eu-west-1\"\n{KEYS}\n"));
    let provider = &config.providers[0];
    assert_eq!(provider.base_url.to_string(), "https://bedrock-runtime.eu-west-1.amazonaws.com/");
    let signer = provider.credentials[0].signer.as_ref().unwrap();
    assert_eq!((signer.region.as_str(), signer.key.id.as_str()), ("eu-west-1", "AKIDEXAMPLE"));
    assert!(signer.key.token.as_ref().unwrap().matches("t0ken"));
    assert!(provider.credentials[0].secret.is_none());
    assert!(provider.credentials[1].secret.as_ref().unwrap().matches("ABSK-1"));
    let told = config.describe();
    assert!(told.contains("bedrock: AWS Bedrock (bedrock) at https://bedrock-runtime.eu-west-1"), "{told}");
    assert!(told.contains("2 keys") && !told.contains("s3cret") && !told.contains("t0ken"), "{told}");
}

#[test]
fn the_region_is_that_of_the_address_where_none_is_named() {
    let url = "https://bedrock-runtime.ap-south-1.amazonaws.com";
    let config = loaded(&format!("[providers.bedrock]\nbase_url = \"{url}\"\n{KEYS}\n"));
    assert_eq!(config.providers[0].credentials[0].signer.as_ref().unwrap().region, "ap-south-1");
    let config =
        loaded(&format!("[providers.aws]\nkind = \"bedrock\"\nbase_url = \"http://127.0.0.1:9\"\n{KEYS}\n"));
    assert_eq!(config.providers[0].credentials[0].signer.as_ref().unwrap().region, "us-east-1");
}

#[test]
fn what_is_wrong_is_told_by_field() {
    for (text, message) in [
        (format!("[providers.bedrock]\n{KEYS}\n"), "`region` is missing"),
        (format!("[providers.bedrock]\nregion = \"Ireland!\"\n{KEYS}\n"), "not a region"),
        ("[providers.openai]\nregion = \"eu-west-1\"\nkey = \"k\"\n".to_owned(), "OpenAI has no regions"),
        (
            "[providers.bedrock]\nregion = \"eu-west-1\"\nkeys = [{ access_key_id = \"A\" }]\n".to_owned(),
            "`secret_access_key` is missing",
        ),
        (
            "[providers.bedrock]\nregion = \"eu-west-1\"\nkeys = [{ value = \"v\", access_key_id = \"A\", secret_access_key = \"b\" }]\n".to_owned(),
            "stands beside `value`",
        ),
        (
            "[providers.openai]\nkeys = [{ access_key_id = \"A\", secret_access_key = \"b\" }]\n".to_owned(),
            "an access key is AWS's",
        ),
        ("[providers.bedrock]\nregion = \"eu-west-1\"\n".to_owned(), "AWS_ACCESS_KEY_ID is not set"),
    ] {
        let errors = errors(&text);
        assert!(errors.iter().any(|error| error.contains(message)), "{message}: {errors:?}");
    }
}

#[test]
fn the_usual_variables_turn_it_on() {
    let config = zero(&|name| {
        let known = [
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AWS_SESSION_TOKEN", "t"),
            ("AWS_REGION", "eu-north-1"),
        ];
        known.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    });
    let [provider] = &config.providers[..] else { panic!("{:?}", config.notes) };
    assert_eq!(provider.base_url.host(), Some("bedrock-runtime.eu-north-1.amazonaws.com"));
    assert_eq!(provider.credentials[0].signer.as_ref().unwrap().key.id, "AKID");
    let api = zero(&|name| (name == "AWS_BEARER_TOKEN_BEDROCK").then(|| "ABSK".to_owned()));
    assert!(api.providers[0].credentials[0].secret.as_ref().unwrap().matches("ABSK"));
    assert!(zero(&|name| (name == "AWS_ACCESS_KEY_ID").then(|| "AKID".to_owned())).providers.is_empty());
}

#[test]
fn an_address_of_awss_goes_to_bedrock_whole() {
    let config = loaded(&format!("[providers.aws]\nkind = \"bedrock\"\nregion = \"us-east-1\"\n{KEYS}\n"));
    let arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    for name in [arn.to_owned(), format!("aws/{arn}")] {
        let route = config.route_for(&name, &[], None).unwrap();
        assert_eq!(route.targets[0].model, arn, "{name}");
        assert!(route.targets[0].price.is_some(), "its model's price is known");
    }
    let bare = config.route_for("eu.anthropic.claude-something-new-v9:0", &[], None).unwrap();
    assert_eq!(bare.targets[0].model, "eu.anthropic.claude-something-new-v9:0");
}
