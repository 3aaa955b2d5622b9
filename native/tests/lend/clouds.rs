//! The program before providers that are called with what it is lent, on machines that look like the clouds': by
//! the variables and files that the clouds' own tools read.

use super::key::Key;
use super::program::Program;
use super::server::{Seen, Server};
use super::{CREDENTIALS, account, field};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

const GOOGLES: &str = r#"{"candidates":[{"content":{"parts":[{"text":"hello"}],"role":"model"},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":2,"candidatesTokenCount":1,"totalTokenCount":3}}"#;
const CLAUDES: &str = r#"{"id":"m","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","usage":{"input_tokens":2,"output_tokens":1}}"#;
const CONVERSED: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"hello"}]}},"stopReason":"end_turn","usage":{"inputTokens":2,"outputTokens":1,"totalTokens":3},"metrics":{"latencyMs":1}}"#;

const CHATTED: &str = r#"{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}"#;

/// What the models of all vendors answer.
fn answered(path: &str) -> &'static str {
    match path {
        _ if path.ends_with(":generateContent") => GOOGLES,
        _ if path.ends_with(":rawPredict") => CLAUDES,
        _ if path.ends_with("/converse") => CONVERSED,
        _ => CHATTED,
    }
}

fn path(seen: &Seen) -> &str {
    seen.line.split(' ').nth(1).unwrap_or_default()
}

/// Files of one test, in a folder that is also its home.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tollgate-{}-lend-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// The path of a file with this text.
    fn put(&self, name: &str, text: &str) -> String {
        let file = self.0.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }

    fn path(&self) -> String {
        self.0.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn ask(program: &Program, model: &str) -> String {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9});
    let body = body.to_string();
    let mut stream = TcpStream::connect(&program.address).unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_program_calls_vertex_bedrock_and_azure_with_what_it_is_lent() {
    let server = Server::new(|seen| match path(seen) {
        "/token" => (200, r#"{"access_token":"lent-token","expires_in":3600}"#.to_owned()),
        "/container" => (200, CREDENTIALS.to_owned()),
        path => (200, answered(path).to_owned()),
    });
    let url = &server.url;
    let folder = Folder::new("vendors");
    let json = folder.put("account.json", &account(&Key::new()));
    let document = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\
         [store]\npath = \":memory:\"\n\
         [providers.vertex]\nbase_url = \"{url}\"\nproject = \"p-1\"\nlocation = \"europe-west4\"\n\
         keys = [{{ from = \"google\", json = \"file:{json}\", token_url = \"{url}/token\" }}]\n\
         [providers.bedrock]\nbase_url = \"{url}\"\nregion = \"us-east-1\"\n\
         keys = [{{ from = \"aws-container\", token_url = \"{url}/container\" }}]\n\
         [providers.azure]\nbase_url = \"{url}/openai/v1\"\n\
         keys = [{{ from = \"entra\", tenant = \"t\", client_id = \"c\", client_secret = \"s\", token_url = \"{url}/token\" }}]\n"
    );
    let program = Program::start("lend-vendors", &document, &[]);
    let ask = |model: &str| {
        let answer = ask(&program, model);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("hello"), "{model}: {answer}");
        server.seen().last().unwrap().clone()
    };
    let gemini = ask("vertex/gemini-2.5-flash");
    let place = "POST /v1/projects/p-1/locations/europe-west4/publishers";
    assert!(gemini.line.starts_with(&format!("{place}/google/models/gemini-2.5-flash:generateContent")));
    assert!(gemini.head.contains("authorization: bearer lent-token"), "{}", gemini.head);
    let claude = ask("vertex/claude-sonnet-4-5@20250929");
    assert!(
        claude.line.starts_with(&format!("{place}/anthropic/models/claude-sonnet-4-5@20250929:rawPredict"))
    );
    let body: Value = serde_json::from_str(&claude.body).unwrap();
    assert_eq!((&body["anthropic_version"], body.get("model")), (&json!("vertex-2023-10-16"), None));
    let converse = ask("bedrock/amazon.nova-pro-v1:0");
    assert!(converse.head.contains("credential=akia1/"), "{}", converse.head);
    assert!(converse.head.contains("x-amz-security-token: t"));
    let azure = ask("azure/gpt-4o");
    assert!(azure.head.contains("authorization: bearer lent-token") && !azure.head.contains("api-key"));
    let tokens = server.seen().iter().filter(|seen| seen.line.contains("/token ")).count();
    assert_eq!(tokens, 2, "one for each source");
}

/// What the sources of a machine and its model have seen: questions in their order, the call last.
fn on_a_machine(
    name: &str,
    folder: &Folder,
    variables: &[(&str, &str)],
    told: impl Fn(&Seen) -> Option<String> + Send + 'static,
) -> (String, Vec<Seen>) {
    let server = Server::new(move |seen| match told(seen) {
        Some(told) if told.is_empty() => (401, String::new()),
        Some(told) => (200, told),
        None => (200, answered(path(seen)).to_owned()),
    });
    let url = &server.url;
    let document = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \":memory:\"\n\
         [providers.vertex]\nbase_url = \"{url}\"\nproject = \"p\"\nlocation = \"l\"\nkeys = [{{ from = \"google\" }}]\n\
         [providers.bedrock]\nbase_url = \"{url}\"\nregion = \"eu-west-1\"\nkeys = [{{ from = \"aws\" }}]\n"
    );
    let host = url.trim_start_matches("http://");
    let usual = [("HOME", folder.path()), ("NO_PROXY", "127.0.0.1".to_owned())];
    let given =
        variables.iter().map(|(name, value)| (*name, value.replace("{url}", url).replace("{host}", host)));
    let variables: Vec<(&str, String)> = usual.into_iter().chain(given).collect();
    for (_, text) in &variables {
        // Files that name the server's address do so by a mark, too.
        if let Ok(written) = std::fs::read_to_string(text) {
            std::fs::write(text, written.replace("{url}", url)).unwrap();
        }
    }
    let program = Program::start(&format!("lend-{name}"), &document, &variables);
    let answer =
        ask(&program, if name.starts_with("google") { "vertex/gemini-2.5-flash" } else { "bedrock/nova" });
    (answer, server.seen())
}

/// The call, which has got through with what this machine was lent.
fn called_with(answer: &str, seen: &[Seen], proof: &str) {
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let call = seen.last().unwrap();
    assert!(call.head.contains(proof), "{}", call.head);
}

#[test]
fn aws_keys_stand_in_variables() {
    let folder = Folder::new("variables");
    let given =
        [("AWS_ACCESS_KEY_ID", "AKIAENV"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_SESSION_TOKEN", "Passing")];
    let (answer, seen) = on_a_machine("aws-variables", &folder, &given, |_| None);
    called_with(&answer, &seen, "credential=akiaenv/");
    assert!(seen[0].head.contains("x-amz-security-token: passing") && seen.len() == 1);
}

#[test]
fn aws_web_identity_is_exchanged_for_a_key() {
    let folder = Folder::new("web");
    let token = folder.put("token", "web-token\n");
    let given = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/web"),
        ("AWS_ROLE_SESSION_NAME", "pod-1"),
        ("AWS_ENDPOINT_URL_STS", "{url}/sts"),
    ];
    let (answer, seen) = on_a_machine("aws-web", &folder, &given, |seen| {
        (path(seen) == "/sts").then(|| assumed("AssumeRoleWithWebIdentity", "AKIAWEB"))
    });
    called_with(&answer, &seen, "credential=akiaweb/");
    let form = &seen[0].body;
    assert_eq!(field(form, "Action"), "AssumeRoleWithWebIdentity");
    assert_eq!(field(form, "RoleArn"), "arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fweb");
    assert_eq!((field(form, "RoleSessionName"), field(form, "WebIdentityToken")), ("pod-1", "web-token"));
    assert!(!seen[0].head.contains("authorization"), "who has no key yet signs nothing");
}

fn assumed(action: &str, id: &str) -> String {
    let credentials =
        json!({"AccessKeyId": id, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": 4.1e9});
    json!({format!("{action}Response"): {format!("{action}Result"): {"Credentials": credentials}}})
        .to_string()
}

const CONFIG: &str = "[default]\nregion = eu-west-1\n\
    [profile app]\nrole_arn = arn:aws:iam::1:role/app\nsource_profile = base\nexternal_id = ex-1\nrole_session_name = gate\n\
    [profile lone]\nrole_arn = arn:aws:iam::1:role/lone\n\
    [profile process]\ncredential_process = /bin/true\n";

#[test]
fn an_aws_profile_assumes_its_role_with_the_key_of_another() {
    let folder = Folder::new("profile");
    let config = folder.put("config", CONFIG);
    let base = folder.put("credentials", "[base]\naws_access_key_id = AKIABASE\naws_secret_access_key = s\n");
    let files = [("AWS_CONFIG_FILE", config.as_str()), ("AWS_SHARED_CREDENTIALS_FILE", base.as_str())];
    let given = [("AWS_PROFILE", "app"), ("AWS_ENDPOINT_URL_STS", "{url}/sts"), files[0], files[1]];
    let (answer, seen) = on_a_machine("aws-profile", &folder, &given, |seen| {
        (path(seen) == "/sts").then(|| assumed("AssumeRole", "AKIAROLE"))
    });
    called_with(&answer, &seen, "credential=akiarole/");
    let form = &seen[0].body;
    assert_eq!((field(form, "Action"), field(form, "ExternalId")), ("AssumeRole", "ex-1"));
    assert_eq!(
        (field(form, "RoleSessionName"), field(form, "RoleArn")),
        ("gate", "arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fapp")
    );
    assert!(
        seen[0].head.contains("credential=akiabase/") && seen[0].head.contains("/eu-west-1/sts/aws4_request")
    );

    for profile in ["lone", "process", "absent"] {
        let given = [
            ("AWS_PROFILE", profile),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "{url}/none"),
            files[0],
            files[1],
        ];
        let (answer, seen) =
            on_a_machine(&format!("aws-{profile}"), &folder, &given, |_| Some(String::new()));
        assert!(answer.starts_with("HTTP/1.1 50"), "{profile}: {answer}");
        assert!(seen.iter().all(|seen| !seen.line.contains("/converse")), "{profile}");
    }
}

#[test]
fn an_aws_profile_has_a_key_by_single_sign_on_as_long_as_its_token_holds() {
    let folder = Folder::new("sso");
    folder.put(
        ".aws/config",
        "[default]\nsso_session = corp\nsso_account_id = 123\nsso_role_name = Reader\n\
         [sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.test/start\n",
    );
    // The SHA-1 of `corp`.
    let kept = ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
    let given = [("AWS_ENDPOINT_URL_SSO", "{url}")];
    let credentials = json!({"roleCredentials": {"accessKeyId": "AKIASSO", "secretAccessKey": "s", "sessionToken": "t",
        "expiration": 4_100_000_000_000_u64}});
    for (until, status) in [("2100-01-01T00:00:00Z", "200"), ("2020-01-01T00:00:00Z", "50")] {
        folder.put(kept, &json!({"accessToken": "sso-token", "expiresAt": until}).to_string());
        let told = credentials.to_string();
        let (answer, seen) = on_a_machine("aws-sso", &folder, &given, move |seen| {
            path(seen).starts_with("/federation/").then(|| told.clone())
        });
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        if status == "200" {
            called_with(&answer, &seen, "credential=akiasso/");
            assert_eq!(seen[0].line, "GET /federation/credentials?role_name=Reader&account_id=123 HTTP/1.1");
            assert!(seen[0].head.contains("x-amz-sso_bearer_token: sso-token"));
        } else {
            assert!(seen.is_empty(), "a token that is over is not shown to anybody");
        }
    }
}

#[test]
fn aws_containers_are_lent_a_key_by_their_agent() {
    let folder = Folder::new("container");
    let token = folder.put("token", "agent-token\n");
    for (variable, value) in [
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "agent-token"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token),
    ] {
        let given = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "{url}/agent"), (variable, value)];
        let (answer, seen) = on_a_machine("aws-container", &folder, &given, |seen| {
            let told = if seen.head.contains("authorization: agent-token") { CREDENTIALS } else { "" };
            (path(seen) == "/agent").then(|| told.to_owned())
        });
        called_with(&answer, &seen, "credential=akia1/");
    }
}

#[test]
fn aws_instances_are_lent_a_key_by_version_two_of_their_metadata() {
    let folder = Folder::new("instance");
    let given = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", "{url}/")];
    let (answer, seen) = on_a_machine("aws-instance", &folder, &given, |seen| {
        let in_session = seen.head.contains("x-aws-ec2-metadata-token: session-1");
        match (path(seen), in_session) {
            ("/latest/api/token", _) if seen.line.starts_with("PUT") => Some("session-1".to_owned()),
            ("/latest/meta-data/iam/security-credentials/", true) => Some("the-role\n".to_owned()),
            ("/latest/meta-data/iam/security-credentials/the-role", true) => Some(CREDENTIALS.to_owned()),
            (path, _) if path.starts_with("/latest") => Some(String::new()),
            _ => None,
        }
    });
    called_with(&answer, &seen, "credential=akia1/");
    assert_eq!(seen.len(), 4);
    assert!(seen[0].head.contains("x-aws-ec2-metadata-token-ttl-seconds: "));
}

const TOKEN: &str = r#"{"access_token":"lent-token","expires_in":3600,"token_type":"Bearer"}"#;

#[test]
fn google_renews_the_token_of_a_person() {
    let folder = Folder::new("person");
    let file = json!({"type": "authorized_user", "client_id": "c1", "client_secret": "s1", "refresh_token": "r/1",
        "token_uri": "{url}/token"});
    let file = folder.put("user.json", &file.to_string());
    let given = [("GOOGLE_APPLICATION_CREDENTIALS", file.as_str())];
    let (answer, seen) = on_a_machine("google-person", &folder, &given, |seen| {
        (path(seen) == "/token").then(|| TOKEN.to_owned())
    });
    called_with(&answer, &seen, "authorization: bearer lent-token");
    assert_eq!(seen[0].body, "grant_type=refresh_token&client_id=c1&client_secret=s1&refresh_token=r%2F1");
}

#[test]
fn googles_usual_file_is_found_at_home() {
    let folder = Folder::new("usual");
    let text = json!({"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
        "token_uri": "{url}/token"});
    let usual = folder.put(".config/gcloud/application_default_credentials.json", &text.to_string());
    // Only so that the address is put into it.
    let given = [("TOLLGATE_TEST_FILE", usual.as_str())];
    let (answer, seen) = on_a_machine("google-usual", &folder, &given, |seen| {
        (path(seen) == "/token").then(|| TOKEN.to_owned())
    });
    called_with(&answer, &seen, "authorization: bearer lent-token");
}

#[test]
fn google_exchanges_the_token_of_another_issuer_and_becomes_an_account() {
    let folder = Folder::new("workload");
    let subject = folder.put("subject.json", r#"{"token": "subject-token"}"#);
    let file = |source: Value| {
        json!({"type": "external_account", "audience": "//iam/pool/1", "subject_token_type": "urn:jwt",
            "token_url": "{url}/exchange", "service_account_impersonation_url": "{url}/account:generateAccessToken",
            "credential_source": source})
        .to_string()
    };
    let format = json!({"type": "json", "subject_token_field_name": "token"});
    let by_url = json!({"url": "{url}/subject", "headers": {"Metadata": "True"}, "format": format});
    for (name, source) in [("file", json!({"file": subject, "format": format})), ("url", by_url)] {
        let file = folder.put(&format!("{name}.json"), &file(source));
        let given = [("GOOGLE_APPLICATION_CREDENTIALS", file.as_str())];
        let (answer, seen) =
            on_a_machine(&format!("google-{name}"), &folder, &given, |seen| match path(seen) {
                "/subject" if seen.head.contains("metadata: true") => {
                    Some(r#"{"token": "subject-token"}"#.to_owned())
                }
                "/exchange" => Some(r#"{"access_token":"federated","expires_in":3600}"#.to_owned()),
                "/account:generateAccessToken" => {
                    Some(r#"{"accessToken":"of-account","expireTime":"2100-01-01T00:00:00Z"}"#.to_owned())
                }
                path if path.starts_with("/v1/") => None,
                _ => Some(String::new()),
            });
        called_with(&answer, &seen, "authorization: bearer of-account");
        let exchange = seen.iter().find(|seen| path(seen) == "/exchange").unwrap();
        assert_eq!(field(&exchange.body, "subject_token"), "subject-token");
        assert_eq!(field(&exchange.body, "audience"), "%2F%2Fiam%2Fpool%2F1");
        assert_eq!(
            field(&exchange.body, "grant_type"),
            "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
        );
        let account = seen.iter().find(|seen| path(seen).starts_with("/account")).unwrap();
        assert!(account.head.contains("authorization: bearer federated"));
        assert_eq!(account.body, r#"{"scope":["https://www.googleapis.com/auth/cloud-platform"]}"#);
    }
}

#[test]
fn googles_machines_are_lent_a_token_by_their_metadata() {
    let folder = Folder::new("metadata");
    let given = [("GCE_METADATA_HOST", "{host}")];
    let (answer, seen) = on_a_machine("google-metadata", &folder, &given, |seen| {
        let told = if seen.head.contains("metadata-flavor: google") { TOKEN } else { "" };
        path(seen).starts_with("/computeMetadata/").then(|| told.to_owned())
    });
    called_with(&answer, &seen, "authorization: bearer lent-token");
    assert_eq!(path(&seen[0]), "/computeMetadata/v1/instance/service-accounts/default/token");
}
