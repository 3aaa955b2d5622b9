//! Keys that change: where a provider's key comes from, if it is not written down but lent for a time.
//!
//! The core knows a [`Source`] by its config and sends a call out with its name. The host has what the
//! source lends ([`Lent`]), gets it anew before its time is over, and gives it to the call
//! ([`crate::host::Fetch::lent`]) when it leaves. A host that cannot says so, and the call fails.

use crate::secret::Secret;
use crate::sigv4::AccessKey;

/// Where a key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Of which kind.
    pub from: From,
    /// What the config says of it, by its fields' names.
    pub given: Vec<(&'static str, Secret)>,
    /// Where AWS is called; empty elsewhere.
    pub region: String,
}

impl Source {
    /// What the config says in this field.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.given.iter().find(|(name, _)| *name == field).map(|(_, value)| value.expose())
    }
}

/// What a source has lent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lent {
    /// A token, sent as a bearer.
    Token(Secret),
    /// An access key of AWS's, which signs.
    Access(AccessKey),
}

/// Kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Google's default: a file of credentials, else the metadata server.
    Google,
    /// Microsoft's Entra ID, as an application with a secret.
    Entra,
    /// The identity that Azure gives its machines.
    ManagedIdentity,
    /// IBM's IAM, by an API key.
    Ibm,
    /// AWS's default: environment, profile, web identity, container, instance, in this order.
    Aws,
    /// A profile in AWS's files.
    AwsProfile,
    /// AssumeRoleWithWebIdentity, by a token in a file.
    AwsWebIdentity,
    /// What ECS and EKS give their containers.
    AwsContainer,
    /// What EC2 gives its instances, by version 2 of its metadata.
    AwsInstance,
}

/// A kind as a config names it.
#[derive(Debug)]
pub struct Kind {
    /// Its word.
    pub word: &'static str,
    /// What it is.
    pub from: From,
    /// Fields that must be there.
    pub needs: &'static [&'static str],
    /// Fields that may.
    pub takes: &'static [&'static str],
}

impl Kind {
    /// Whether it lends access keys of AWS's.
    pub fn is_aws(&self) -> bool {
        self.word.starts_with("aws")
    }
}

/// Every field of any of them.
pub const FIELDS: &[&str] = &[
    "json",
    "tenant",
    "client_id",
    "client_secret",
    "scope",
    "api_key",
    "profile",
    "role",
    "token_file",
    "token_url",
];

/// All of them.
pub const KINDS: &[Kind] = &[
    Kind { word: "google", from: From::Google, needs: &[], takes: &["json", "scope", "token_url"] },
    Kind {
        word: "entra",
        from: From::Entra,
        needs: &["tenant", "client_id", "client_secret"],
        takes: &["scope", "token_url"],
    },
    Kind {
        word: "azure-identity",
        from: From::ManagedIdentity,
        needs: &[],
        takes: &["client_id", "scope", "token_url"],
    },
    Kind { word: "ibm", from: From::Ibm, needs: &["api_key"], takes: &["token_url"] },
    Kind { word: "aws", from: From::Aws, needs: &[], takes: &["profile"] },
    Kind { word: "aws-profile", from: From::AwsProfile, needs: &[], takes: &["profile"] },
    Kind {
        word: "aws-web-identity",
        from: From::AwsWebIdentity,
        needs: &[],
        takes: &["role", "token_file", "token_url"],
    },
    Kind { word: "aws-container", from: From::AwsContainer, needs: &[], takes: &["token_url"] },
    Kind { word: "aws-instance", from: From::AwsInstance, needs: &[], takes: &["token_url"] },
];
