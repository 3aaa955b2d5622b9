//! Access keys of AWS's roles, from where its own tools find them:
//! <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>.

use super::ask::{Desk, Question, pairs};
use super::{Loan, instant};
use crate::clock;
use http::Method;
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use tollgate_core::secret::Secret;
use tollgate_core::sigv4::{AccessKey, Signer};
use tollgate_core::source::{Lent, Source};
use tollgate_core::units::{Millis, Time};

/// How long what stands in a file is believed before it is read again.
const READ_AGAIN: Millis = Millis::from_secs(5 * 60);

/// The name of a session in AWS's logs.
const SESSION: &str = "tollgate";

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The first place that has one.
pub(super) async fn any(source: &Source, desk: &Desk) -> Result<Loan, String> {
    if let (Some(id), Some(secret)) = (env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY")) {
        return Ok(lasting(AccessKey {
            id,
            secret: Secret::new(secret),
            token: env("AWS_SESSION_TOKEN").map(Secret::new),
        }));
    }
    if env("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() && source.get("profile").is_none() {
        return web_identity(source, desk).await;
    }
    let files = Files::read();
    if files.get(&files.name(source)).is_some() {
        return profile(source, desk).await;
    }
    if source.get("profile").is_some() {
        return Err("no such profile in AWS's files".to_owned());
    }
    if env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").or(env("AWS_CONTAINER_CREDENTIALS_FULL_URI")).is_some() {
        return container(source, desk).await;
    }
    instance(source, desk).await
}

fn lasting(key: AccessKey) -> Loan {
    let now = clock::wall();
    Loan::until(Lent::Access(key), now + READ_AGAIN, now)
}

/// A key with its end, in the words of containers and instances or those of STS.
fn temporary(told: &Value) -> Result<Loan, String> {
    let get = |names: [&str; 2]| {
        let found = names.iter().find_map(|name| told.get(name)?.as_str());
        found.map(str::to_owned).ok_or_else(|| format!("the source's answer holds no {}", names[0]))
    };
    let until = told.get("Expiration");
    let until = until.and_then(|until| match until.as_f64() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "seconds since 1970, which are whole and positive"
        )]
        Some(seconds) => Some(Time((seconds as u64).saturating_mul(1000))),
        None => instant::parse(until.as_str()?),
    });
    let key = AccessKey {
        id: get(["AccessKeyId", "AccessKeyId"])?,
        secret: Secret::new(get(["SecretAccessKey", "SecretAccessKey"])?),
        token: Some(Secret::new(get(["Token", "SessionToken"])?)),
    };
    let now = clock::wall();
    Ok(Loan::until(Lent::Access(key), until.unwrap_or(now + READ_AGAIN), now))
}

/// What ECS and EKS tell their containers.
pub(super) async fn container(source: &Source, desk: &Desk) -> Result<Loan, String> {
    let relative =
        env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|path| format!("http://169.254.170.2{path}"));
    let given = source.get("token_url").map(str::to_owned);
    let url = given.or(relative).or(env("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
    let url = url.ok_or("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set")?;
    let mut question = Question::get(&url);
    let from_file = || std::fs::read_to_string(env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")?).ok();
    if let Some(token) = env("AWS_CONTAINER_AUTHORIZATION_TOKEN").or_else(from_file) {
        question = question.with("authorization", token.trim());
    }
    temporary(&desk.json(question).await?)
}

/// What EC2 tells its instances: a session first, then the role's name, then its key.
pub(super) async fn instance(source: &Source, desk: &Desk) -> Result<Loan, String> {
    let base = source.get("token_url").map(str::to_owned).or(env("AWS_EC2_METADATA_SERVICE_ENDPOINT"));
    let base = base.unwrap_or_else(|| "http://169.254.169.254".to_owned());
    let base = base.trim_end_matches('/');
    let text = |answer: Vec<u8>| String::from_utf8(answer).map_err(|_| "the metadata is no text".to_owned());
    let url = format!("{base}/latest/api/token");
    let mut question = Question::get(&url).with("x-aws-ec2-metadata-token-ttl-seconds", "300");
    question.method = Method::PUT;
    let session = text(desk.ask(question).await?)?;
    let url = format!("{base}/latest/meta-data/iam/security-credentials/");
    let question = |url| Question::get(url).with("x-aws-ec2-metadata-token", session.clone());
    let roles = text(desk.ask(question(&url)).await?)?;
    let role = roles.lines().next().map(str::trim).filter(|role| !role.is_empty());
    let role = role.ok_or("the instance has no role")?;
    temporary(&desk.json(question(&format!("{url}{role}"))).await?)
}

/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>
pub(super) async fn web_identity(source: &Source, desk: &Desk) -> Result<Loan, String> {
    let role = source.get("role").map(str::to_owned).or(env("AWS_ROLE_ARN"));
    let file = source.get("token_file").map(str::to_owned).or(env("AWS_WEB_IDENTITY_TOKEN_FILE"));
    let (Some(role), Some(file)) = (role, file) else {
        return Err("AWS_ROLE_ARN or AWS_WEB_IDENTITY_TOKEN_FILE is not set".to_owned());
    };
    by_web_identity(source, desk, &role, &file).await
}

async fn by_web_identity(source: &Source, desk: &Desk, role: &str, file: &str) -> Result<Loan, String> {
    let token =
        std::fs::read_to_string(file).map_err(|why| format!("the file of the web identity: {why}"))?;
    let session = env("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| SESSION.to_owned());
    let form = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", role),
        ("RoleSessionName", &session),
        ("WebIdentityToken", token.trim()),
    ];
    assumed(&desk.json(Question::form(&sts(source), &form)).await?)
}

fn sts(source: &Source) -> String {
    let usual = || format!("https://sts.{}.amazonaws.com/", source.region);
    source.get("token_url").map(str::to_owned).or(env("AWS_ENDPOINT_URL_STS")).unwrap_or_else(usual)
}

/// `{ActionResponse: {ActionResult: {Credentials}}}`.
fn assumed(answer: &Value) -> Result<Loan, String> {
    let inner = |value: &Value| value.as_object().and_then(|fields| fields.values().next()).cloned();
    let result = inner(answer).and_then(|response| {
        response
            .as_object()?
            .iter()
            .find(|(name, _)| name.ends_with("Result"))
            .map(|(_, result)| result.clone())
    });
    let credentials = result.as_ref().and_then(|result| result.get("Credentials"));
    temporary(credentials.ok_or("the source's answer holds no Credentials")?)
}

/// A profile: a key, or a role that is assumed with one.
pub(super) async fn profile(source: &Source, desk: &Desk) -> Result<Loan, String> {
    let files = Files::read();
    let name = files.name(source);
    let profile = files.get(&name).ok_or_else(|| format!("AWS's files have no profile {name}"))?;
    let Some(role) = profile.get("role_arn") else { return own(&files, &name, desk).await };
    if let Some(file) = profile.get("web_identity_token_file") {
        return by_web_identity(source, desk, role, file).await;
    }
    let loan = match (profile.get("source_profile"), profile.get("credential_source")) {
        (Some(other), _) => own(&files, other, desk).await?,
        (None, Some(place)) => match place.as_str() {
            "Ec2InstanceMetadata" => instance(source, desk).await?,
            "EcsContainer" => container(source, desk).await?,
            _ => return Err(format!("profile {name}: credential_source {place} is not known")),
        },
        (None, None) => return Err(format!("profile {name}: role_arn stands without source_profile")),
    };
    let Lent::Access(key) = loan.lent else { return Err("no access key".to_owned()) };
    let session = profile.get("role_session_name").map_or(SESSION, String::as_str);
    let mut form = vec![
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", role.as_str()),
        ("RoleSessionName", session),
    ];
    form.extend(profile.get("external_id").map(|id| ("ExternalId", id.as_str())));
    let url = sts(source);
    let mut question = Question::form(&url, &form);
    question.signer = Some(Signer { key, region: source.region.clone(), service: "sts" });
    assumed(&desk.json(question).await?)
}

/// The key that a profile has without a role: written in it, or had by single sign-on.
async fn own(files: &Files, name: &str, desk: &Desk) -> Result<Loan, String> {
    let profile = files.get(name).ok_or_else(|| format!("AWS's files have no profile {name}"))?;
    match SignedOn::of(files, profile) {
        Some(signed_on) => signed_on.borrow(name, desk).await,
        None => files.key(name).map(lasting),
    }
}

/// What a profile says of single sign-on, whose token `aws sso login` leaves in a file:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-sso-credentials.html>.
struct SignedOn<'f> {
    /// The session, or the address where there is none: the file is called by its digest.
    named: &'f str,
    region: &'f str,
    account: &'f str,
    role: &'f str,
}

impl<'f> SignedOn<'f> {
    fn of(files: &'f Files, profile: &'f Profile) -> Option<Self> {
        let session = profile.get("sso_session");
        let inner = session.and_then(|session| files.get(&format!("sso-session {session}")));
        let get = |field: &str| profile.get(field).map(String::as_str);
        let region = inner.and_then(|inner| inner.get("sso_region")).map(String::as_str);
        Some(Self {
            named: session.map(String::as_str).or_else(|| get("sso_start_url"))?,
            region: region.or_else(|| get("sso_region"))?,
            account: get("sso_account_id")?,
            role: get("sso_role_name")?,
        })
    }

    /// <https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/API_GetRoleCredentials.html>
    async fn borrow(&self, name: &str, desk: &Desk) -> Result<Loan, String> {
        let Self { named, region, account, role } = self;
        let over =
            || format!("profile {name}: the token of single sign-on is missing or over: run aws sso login");
        let file = format!(".aws/sso/cache/{}.json", sha1_smol::Sha1::from(named).digest());
        let kept = std::fs::read_to_string(home().join(file)).map_err(|_| over())?;
        let kept: Value = serde_json::from_str(&kept).map_err(|_| over())?;
        let get = |field: &str| kept.get(field).and_then(Value::as_str);
        let until = get("expiresAt").and_then(instant::parse);
        let good = until.is_none_or(|until| clock::wall() < until);
        let token = get("accessToken").filter(|_| good).ok_or_else(over)?;
        let usual = format!("https://portal.sso.{region}.amazonaws.com");
        let base = env("AWS_ENDPOINT_URL_SSO").unwrap_or(usual);
        let query = pairs(&[("role_name", role), ("account_id", account)]);
        let url = format!("{}/federation/credentials?{query}", base.trim_end_matches('/'));
        let mut told = desk.json(Question::get(&url).with("x-amz-sso_bearer_token", token)).await?;
        let told = told.get_mut("roleCredentials").map(Value::take).unwrap_or_default();
        let get = |field: &str| {
            let found = told.get(field).and_then(Value::as_str);
            found.map(str::to_owned).ok_or_else(|| format!("the source's answer holds no {field}"))
        };
        let key = AccessKey {
            id: get("accessKeyId")?,
            secret: Secret::new(get("secretAccessKey")?),
            token: Some(Secret::new(get("sessionToken")?)),
        };
        let now = clock::wall();
        // In milliseconds, where others of AWS's say seconds.
        let until = told.get("expiration").and_then(Value::as_u64).map_or(now + READ_AGAIN, Time);
        Ok(Loan::until(Lent::Access(key), until, now))
    }
}

fn home() -> PathBuf {
    env("HOME").or(env("USERPROFILE")).map(PathBuf::from).unwrap_or_default()
}

type Profile = HashMap<String, String>;

/// `~/.aws/credentials` and `~/.aws/config`.
struct Files(HashMap<String, Profile>);

impl Files {
    fn read() -> Self {
        let home = home();
        let text = |variable: &str, usual: &str| {
            let path = env(variable).map_or_else(|| home.join(usual), PathBuf::from);
            std::fs::read_to_string(path).unwrap_or_default()
        };
        let mut files = Self(HashMap::new());
        // What the file of credentials says wins.
        files.add(&text("AWS_CONFIG_FILE", ".aws/config"));
        files.add(&text("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"));
        files
    }

    fn add(&mut self, text: &str) {
        let mut open = None;
        for line in text.lines() {
            let line = line.split(" #").next().unwrap_or_default();
            if let Some(head) = line.trim().strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                let name = head.trim().strip_prefix("profile ").unwrap_or(head).trim();
                open = Some(name.to_owned());
                self.0.entry(name.to_owned()).or_default();
            } else if let (Some(name), Some((key, value)), false) =
                (&open, line.split_once('='), line.starts_with([' ', '\t', '#', ';']))
                && let Some(profile) = self.0.get_mut(name)
            {
                profile.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
            }
        }
    }

    fn name(&self, source: &Source) -> String {
        let named = source.get("profile").map(str::to_owned).or(env("AWS_PROFILE"));
        named.unwrap_or_else(|| "default".to_owned())
    }

    fn get(&self, name: &str) -> Option<&Profile> {
        self.0.get(name)
    }

    fn key(&self, name: &str) -> Result<AccessKey, String> {
        let profile = self.get(name).ok_or_else(|| format!("AWS's files have no profile {name}"))?;
        let get = |field: &str| profile.get(field).cloned();
        match (get("aws_access_key_id"), get("aws_secret_access_key")) {
            (Some(id), Some(secret)) => {
                let token = get("aws_session_token").map(Secret::new);
                Ok(AccessKey { id, secret: Secret::new(secret), token })
            }
            _ => Err(format!(
                "profile {name} holds no access key: of what else it may hold, role_arn and sso_session are known"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn profiles_are_read_from_both_files_and_credentials_win() {
        let mut files = Files(HashMap::new());
        files.add(
            "[default]\nregion = eu-west-1\n[profile dev]\nrole_arn = arn:role\nsource_profile=base # base\n\
                   s3 =\n  max_concurrent_requests = 5\naws_access_key_id = old\n",
        );
        files.add("# comment\n[base]\naws_access_key_id = AKIA1\naws_secret_access_key = s=3\n\n[dev]\naws_access_key_id=new\n");
        assert_eq!(files.get("dev").unwrap()["role_arn"], "arn:role");
        assert_eq!(files.get("dev").unwrap()["source_profile"], "base");
        assert_eq!(files.get("dev").unwrap()["aws_access_key_id"], "new");
        assert!(!files.get("dev").unwrap().contains_key("max_concurrent_requests"));
        let key = files.key("base").unwrap();
        assert_eq!((key.id.as_str(), key.secret.expose(), key.token), ("AKIA1", "s=3", None));
        assert!(files.key("default").unwrap_err().contains("profile default"));
    }

    #[test]
    fn keys_are_read_with_their_ends() {
        let told = json!({"AccessKeyId": "A", "SecretAccessKey": "S", "Token": "T", "Expiration": "2100-01-01T00:00:00Z"});
        let loan = temporary(&told).unwrap();
        assert_eq!(loan.until, instant::parse("2100-01-01T00:00:00Z").unwrap());
        assert!(loan.renew < loan.until);
        let answer = json!({"AssumeRoleResponse": {"AssumeRoleResult": {"Credentials": {
            "AccessKeyId": "A", "SecretAccessKey": "S", "SessionToken": "T", "Expiration": 4_102_444_800.0}},
            "ResponseMetadata": {"RequestId": "r"}}});
        assert_eq!(assumed(&answer).unwrap().until, loan.until);
        assert!(temporary(&json!({"Code": "Failed"})).unwrap_err().contains("AccessKeyId"));
    }
}
